"""Copies of Keras 3 models: as they are, or in float32 whatever precision they were trained in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfmap.errors import InputError

_OTHER = ("float16", "bfloat16", "float64")


def in_float32(model: keras.Model) -> keras.Model:
    """The same model with every layer in float32, and its weights; the very model where that is so already.

    Args:
        model: functional or Sequential. With mixed_float16, mixed_bfloat16, float16, bfloat16 or float64 layers, or
            casts to them, a clone comes back.
    """
    if not any(_is_other(operation) for operation in _operations(model)):
        return model
    return _cloned(model, lambda operation: copy_of(operation, _rewritten(operation.get_config())))


def clone_of(model: keras.Model) -> keras.Model:
    """A new Keras 3 model of the same layers and weights.

    Args:
        model: functional or Sequential, as deep as it may be nested.

    Raises:
        InputError: a layer with weights has no complete get_config, or layers share weights, which a clone has apart.
    """
    return _cloned(model, copy_of)


def copy_of(operation: Any, config: dict | None = None) -> Any:
    """A new layer or operator.

    Args:
        operation: it. Without weights it may serve twice, where Keras cannot copy it (Keras 3.15: RandomShear).
        config: other than its own.

    Raises:
        InputError: a layer with weights has no complete get_config.
    """
    own = {type(part).__name__: type(part) for part in _parts(operation) if not _is_of_keras(part)}
    try:
        with keras.saving.custom_object_scope(own):
            copy = type(operation).from_config(config or operation.get_config())
    except (TypeError, ValueError, NotImplementedError) as error:
        if not getattr(operation, "weights", ()):
            return operation
        raise InputError(
            f"compress: layer {operation.name!r} ({type(operation).__name__}) cannot be copied from its config "
            f"({type(error).__name__}). Give the class a get_config that has all arguments of its __init__."
        ) from error
    copy.name = operation.name  # an automatic config forgets it where __init__ has no `name` (Keras 3.15)
    return copy


def _cloned(model: keras.Model, copy: Callable[[Any], Any]) -> keras.Model:
    clone = keras.models.clone_model(model, clone_function=copy, recursive=True)
    if len(clone.weights) != len(model.weights):
        raise InputError(
            f"compress: a copy of model {model.name!r} has {len(clone.weights)} weights, the model itself "
            f"{len(model.weights)}: some of its layers share a weight. Make them one layer that is called twice."
        )
    clone.set_weights(model.get_weights())
    for layer in clone._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):  # it computes with constants made of its weights
            layer.finalize_state()
    return clone


def _parts(operation: Any) -> list:
    """A layer and the layers in it."""
    return operation._flatten_layers() if isinstance(operation, keras.Layer) else [operation]


def _is_of_keras(operation: Any) -> bool:
    return type(operation).__module__.startswith("keras.")


def _operations(model: keras.Model) -> list:
    """All layers and operators, also of nested models and inside wrappers."""
    layers = list(model._flatten_layers())
    return layers + [operation for layer in layers for operation in getattr(layer, "operations", ())]


def _is_other(operation: Any) -> bool:
    """Whether a layer computes, or an operator casts, in another precision."""
    dtypes = (getattr(operation, key, None) for key in ("compute_dtype", "variable_dtype", "dtype"))
    return any(dtype in _OTHER for dtype in dtypes)


def _rewritten(config: Any) -> Any:
    """A config with float32 in place of every other precision, at any depth."""
    if isinstance(config, list | tuple):
        return type(config)(_rewritten(value) for value in config)
    if not isinstance(config, dict):
        return config
    return {
        key: "float32" if key == "dtype" and _names_other(value) else _rewritten(value) for key, value in config.items()
    }


def _names_other(value: Any) -> bool:
    """Whether a dtype, or the config of a dtype policy, is another precision."""
    name = value.get("config", {}).get("name", "") if isinstance(value, dict) else value
    return isinstance(name, str) and name.removeprefix("mixed_") in _OTHER
