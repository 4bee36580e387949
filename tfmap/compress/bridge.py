"""The bridge between Keras 3, where users live, and tf_keras (Keras 2), where tfmot works.

legacy = to_tf_keras(model)     the same graph and weights, as a tf_keras functional model in float32
copy_back(legacy, model)        the trained weights return by layer name
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator
from typing import Any

import keras
import numpy as np
import tf_keras
from keras import tree

from tfmap.compress import bridge_ops
from tfmap.compress.bridge_layers import WAYS_OUT, Pairs, Translated, carried, register, translate
from tfmap.errors import InputError

__all__ = ["brought_home", "copy_back", "register", "to_tf_keras"]


def to_tf_keras(model: keras.Model, *, carriers: Container[str] = ()) -> tf_keras.Model:
    """Rebuild a Keras 3 functional or Sequential model in tf_keras.

    Nested models are flattened, weights are copied, a mixed-precision model comes out in float32. Random augmentation
    layers are left out: they do nothing at inference. Every layer comes out trainable.

    Args:
        model: a built Keras 3 model.
        carriers: names of layers in front of which a 1x1 depthwise convolution of ones is put, called <name>_carrier:
            something that a lonely batch norm can be folded into.

    Returns:
        tf_keras.Model: inputs of the same names, shapes and dtypes; outputs equal to about 1e-6.

    Raises:
        InputError: a layer cannot be bridged (a custom layer, a Lambda, a subclassed model); the text names it.
    """
    legacy, pairs = _rebuild(model, carriers)
    for variables, layer in pairs:
        layer.set_weights([np.asarray(variable, np.float32) for variable in variables])
    return legacy


def copy_back(legacy: tf_keras.Model, model: keras.Model) -> None:
    """Bring the weights of a bridged (then pruned, clustered or quantisation-trained) model back, in place.

    Args:
        legacy: descends from `to_tf_keras(model)`; its layers may be wrapped by tfmot.
        model: the Keras 3 model that receives the weights.

    Raises:
        InputError: `legacy` lacks a layer of `model`.
    """
    found = {_bare_name(layer): layer for layer in legacy.layers}
    for variables, twin in _rebuild(model)[1]:
        if twin.name not in found:
            raise InputError(
                f"compress: the tf_keras model has no layer {twin.name!r}; was it bridged from this model?"
            )
        values = {_leaf(weight): weight for weight in found[twin.name].weights}
        for variable, weight in zip(variables, twin.weights, strict=True):
            variable.assign(values[_leaf(weight)].numpy())


def brought_home(legacy: tf_keras.Model, model: keras.Model) -> keras.Model:
    """A new Keras 3 model like `model`, with the weights of `legacy`; `model` is left as it is.

    Args:
        legacy: as in `copy_back`.
        model: where it comes from.
    """
    home = keras.models.clone_model(model)
    home.set_weights(model.get_weights())  # what does not cross, such as an adapted Normalization
    copy_back(legacy, home)
    return home


def _bare_name(layer: tf_keras.layers.Layer) -> str:
    """The name of a layer without tfmot's wrapper around it."""
    return getattr(layer, "layer", layer).name


def _leaf(weight: Any) -> str:
    """'conv1/kernel:0' -> 'kernel:0'; MultiHeadAttention keeps 'query/kernel:0', as its leaves repeat."""
    parts = weight.name.split("/")
    return "/".join(parts[-2:]) if len(parts) > 2 and parts[-2] in _ATTENTION_PARTS else parts[-1]


_ATTENTION_PARTS = ("query", "key", "value", "attention_output")


def _rebuild(model: keras.Model, carriers: Container[str] = ()) -> tuple[tf_keras.Model, Pairs]:
    """The tf_keras twin, its weights not yet copied, and who carries which weights."""
    walk = _Walk(carriers)
    inputs = [
        tf_keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=walk.unique(tensor.name))
        for tensor in _functional(model).inputs
    ]
    outputs = walk.run(model, inputs, training=None)
    structure = tree.pack_sequence_as(_functional(model)._inputs_struct, inputs)
    return tf_keras.Model(structure, outputs, name=model.name), walk.pairs


def _functional(model: keras.Model) -> Any:
    """The graph of a functional or Sequential model."""
    graph = getattr(model, "_functional", model) if isinstance(model, keras.Sequential) else model
    if hasattr(graph, "_run_through_graph"):
        return graph
    if isinstance(model, keras.Sequential):
        raise InputError(f"compress: Sequential model {model.name!r} is not built. Start it with keras.Input(shape).")
    ways_out = WAYS_OUT.format(name=type(model).__name__)
    raise InputError(
        f"compress: model {model.name!r} ({type(model).__name__}) is a subclassed model, whose graph cannot be read. "
        f"Expected a functional or Sequential model. {ways_out}"
    )


class _Walk:
    """One walk through a Keras 3 graph: every layer is translated once, shared layers stay shared."""

    def __init__(self, carriers: Container[str]) -> None:
        self._carriers = carriers
        self.pairs: Pairs = []
        self._made: dict[int, Translated] = {}
        self._names: Counter[str] = Counter()

    def unique(self, name: str) -> str:
        """A name that tf_keras accepts and that no other layer of the flattened model has."""
        name = name.split(":")[0].replace("/", "_")
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}__{self._names[name]}"

    def run(self, model: keras.Model, inputs: list, *, training: bool | None) -> Any:
        """Send symbolic tf_keras tensors through the graph; `training=False` reaches the layers of a nested model."""

        def visit(operation: Any) -> Callable[..., Any]:
            return lambda *args, **kwargs: self._visit(operation, args, kwargs, training)

        return _functional(model)._run_through_graph(inputs, operation_fn=visit)

    def _visit(self, operation: Any, args: tuple, kwargs: dict, training: bool | None) -> Any:
        if isinstance(operation, keras.Model):
            return self.run(operation, tree.flatten(args), training=kwargs.get("training", training))
        if not isinstance(operation, keras.Layer):
            return bridge_ops.apply(operation, args, kwargs, self.unique(operation.name))
        return self._layer(operation).call(*args, **dict(_kwargs(operation, kwargs, training)))

    def _layer(self, layer: keras.Layer) -> Translated:
        if id(layer) not in self._made:
            name = self.unique(layer.name)
            made = translate(layer, name)
            self._made[id(layer)] = carried(made, name) if name in self._carriers else made
            self.pairs += self._made[id(layer)].pairs
        return self._made[id(layer)]


def _kwargs(layer: keras.Layer, kwargs: dict, training: bool | None) -> Iterator[tuple[str, Any]]:
    """Call arguments that are set; `training=False` is handed to layers that act on it."""
    if training is False and layer._call_has_training_arg:
        kwargs = {"training": False, **kwargs}
    return ((key, value) for key, value in kwargs.items() if value is not None)
