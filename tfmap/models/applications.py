"""Families of keras.applications, rebuilt flat: one normalisation, no nested models, stable layer names."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import keras
from keras import layers


def body(
    image: keras.KerasTensor, normalised: keras.KerasTensor, builder: str, arguments: dict[str, Any]
) -> keras.Model:
    """The layers of a keras.applications model without its top, called on our normalised input.

    Args:
        image: float32 (B, H, W, C), the input tensor.
        normalised: float32 (B, H, W, C), the output of the normalisation layer.
        builder: function of keras.applications, such as "MobileNetV2".
        arguments: its keyword arguments, such as {"alpha": 0.5}.

    Returns:
        keras.Model: image -> last feature map.
    """
    template = getattr(keras.applications, builder)(
        include_top=False, weights=None, input_shape=tuple(image.shape[1:]), **arguments
    )
    names = _Names()

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        args = tuple(normalised if arg is image else arg for arg in args)
        return _call(operation, args, kwargs)

    return keras.models.clone_model(template, input_tensors=image, clone_function=names.clone, call_function=call)


class _Names:
    """Clones operations; those that Keras numbered across the process ("conv2d_37") are numbered within the model."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def clone(self, operation: Any) -> Any:
        if isinstance(operation, keras.Sequential):
            return [self.clone(layer) for layer in operation.layers]
        if isinstance(operation, (layers.Rescaling, layers.Normalization)):
            return None
        config = operation.get_config() | {"name": self._name(operation)}
        return type(operation).from_config(config)

    def _name(self, operation: Any) -> str:
        base = re.sub(r"_\d+$", "", operation.name)
        if base.replace("_", "") != type(operation).__name__.lower():
            return operation.name
        self._counts[base] += 1
        return f"{base}_{self._counts[base]}"


def _call(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call what `_Names.clone` returned: an operation, the parts of a Sequential, or nothing for a normalisation."""
    if operation is None:
        return args[0]
    if not isinstance(operation, list):
        return operation(*args, **kwargs)
    x = args[0]
    for layer in operation:
        x = layer(x)
    return x
