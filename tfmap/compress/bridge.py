"""The bridge between Keras 3, where users live, and tf_keras (Keras 2), where tfmot works.

legacy = to_tf_keras(model)     the same graph and weights, as a tf_keras functional model in float32
copy_back(legacy, model)        the trained weights return by layer name
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container
from typing import Any

import keras
import numpy as np
import tf_keras
from keras import ops, tree

from tfmap.compress import bridge_ops
from tfmap.compress.bridge_copies import clone_of, in_float32
from tfmap.compress.bridge_layers import Pairs, Translated, carried, translate
from tfmap.compress.bridge_refusals import WAYS_OUT
from tfmap.compress.bridge_registry import check_fit, is_registered, register
from tfmap.compress.hosted import Hosted, host
from tfmap.errors import InputError

__all__ = ["brought_home", "copy_back", "register", "to_tf_keras"]


def to_tf_keras(model: keras.Model, *, carriers: Container[str] = ()) -> tf_keras.Model:
    """Rebuild a Keras 3 functional or Sequential model in tf_keras.

    Nested models are flattened, weights are copied, a mixed-precision model comes out in float32. Random augmentation
    layers are left out: they do nothing at inference. Every layer comes out trainable. A layer of Keras 3 that tfmot
    does not know runs in it as it is.

    Args:
        model: a built Keras 3 model.
        carriers: names of layers in front of which a 1x1 depthwise convolution of ones is put, called <name>_carrier:
            something that a lonely batch norm can be folded into.

    Returns:
        tf_keras.Model: inputs of the same names, shapes and dtypes; outputs equal to about 1e-6.

    Raises:
        InputError: a layer cannot be bridged (a custom layer, a Lambda, a subclassed model); the text names it.
    """
    legacy, pairs = _rebuild(in_float32(_checked(model)), carriers)
    for variables, layer in pairs:
        check_fit(variables, layer.weights, layer.name)
        layer.set_weights([np.asarray(variable) for variable in variables])
    return legacy


def copy_back(legacy: tf_keras.Model, model: keras.Model) -> None:
    """Bring the weights of a bridged (then pruned, clustered or quantisation-trained) model back, in place.

    Args:
        legacy: descends from `to_tf_keras(model)`; its layers may be wrapped by tfmot.
        model: the Keras 3 model that receives the weights.

    Raises:
        InputError: `legacy` lacks a layer of `model`, or has it with other weights.
    """
    found = {_unwrapped(layer).name: layer for layer in legacy.layers}
    plain = in_float32(_checked(model))
    for variables, twin in _rebuild(plain)[1]:
        if twin.name not in found:
            raise InputError(
                f"compress: the tf_keras model has no layer {twin.name!r}; was it bridged from this model?"
            )
        weights = _trained(found[twin.name], twin)
        check_fit(variables, weights, twin.name)
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight.numpy())
    if plain is not model:
        model.set_weights(plain.get_weights())


def brought_home(legacy: tf_keras.Model, model: keras.Model) -> keras.Model:
    """A new Keras 3 model like `model`, with the weights of `legacy`; `model` is left as it is.

    Args:
        legacy: as in `copy_back`.
        model: where it comes from.
    """
    home = clone_of(model)  # with what does not cross, such as an adapted Normalization
    copy_back(legacy, home)
    return home


def _unwrapped(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    """A layer without tfmot's wrapper around it."""
    return (
        getattr(layer, "layer", layer) if type(layer).__module__.startswith("tensorflow_model_optimization") else layer
    )


def _trained(found: tf_keras.layers.Layer, twin: tf_keras.layers.Layer) -> list:
    """The weights of a trained layer in the order of its twin's; among tfmot's masks and ranges names tell them apart.

    The names are 'conv/kernel:0'; those of layers inside a custom layer are numbered anew at every build.
    """
    inner = _unwrapped(found)
    names = [_leaf(weight) for weight in twin.weights]
    # A guest's names are its own: Keras 3 numbers weights without one anew.
    if inner is found or isinstance(inner, Hosted) or len(set(names)) < len(names):
        return inner.weights
    by_name = {_leaf(weight): weight for weight in found.weights}
    return [by_name[name] for name in names if name in by_name]


def _leaf(weight: Any) -> str:
    return weight.name.split("/")[-1]


def _check_apart(pairs: Pairs) -> None:
    """Raise where two layers have a weight in common: trained apart, the two copies would part."""
    owners: dict[int, str] = {}
    for variables, twin in pairs:
        for variable in variables:
            if owners.setdefault(id(variable), twin.name) != twin.name:
                raise InputError(
                    f"compress: layers {owners[id(variable)]!r} and {twin.name!r} share the weight {variable.path!r}, "
                    "which tf_keras would train apart. Make them one layer that is called twice."
                )


def _rebuild(model: keras.Model, carriers: Container[str] = ()) -> tuple[tf_keras.Model, Pairs]:
    """The tf_keras twin, its weights not yet copied, and who carries which weights."""
    walk = _Walk(carriers)
    inputs = [
        tf_keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=walk.unique(tensor.name))
        for tensor in _functional(model).inputs
    ]
    outputs = walk.run(model, inputs, training=None)
    structure = tree.pack_sequence_as(_functional(model)._inputs_struct, inputs)
    _check_apart(walk.pairs)
    return tf_keras.Model(structure, outputs, name=model.name), walk.pairs


def _functional(model: keras.Model) -> Any:
    """The graph of a functional or Sequential model."""
    return model._functional if isinstance(model, keras.Sequential) else model


def _checked(model: keras.Model) -> keras.Model:
    """The model, if it is one whose graph can be read."""
    if isinstance(model, keras.Sequential) and model._functional is None:
        raise InputError(f"compress: Sequential model {model.name!r} is not built. Start it with keras.Input(shape).")
    # A class with a call of its own does more than its graph says.
    reads = hasattr(_functional(model), "_run_through_graph") and type(model).call.__module__.startswith("keras.")
    if not reads:
        raise InputError(
            f"compress: model {model.name!r} ({type(model).__name__}) is a subclassed model, whose graph cannot be "
            f"read. Expected a functional or Sequential model. {WAYS_OUT.format(name=type(model).__name__)}"
        )
    for tensor in _functional(model).inputs:
        if tensor.sparse or tensor.ragged:
            raise InputError(f"compress: input {tensor.name!r} is sparse or ragged; the bridge carries dense tensors.")
    return model


class _Walk:
    """One walk through a Keras 3 graph: every layer is translated once, shared layers stay shared."""

    def __init__(self, carriers: Container[str]) -> None:
        self._carriers = carriers
        self._made: dict[int, Translated] = {}
        self._names: Counter[str] = Counter()

    @property
    def pairs(self) -> Pairs:
        """Who carries which weights; complete after `run`."""
        return [pair for made in self._made.values() for pair in made.pairs]

    def unique(self, name: str) -> str:
        """A name that tf_keras accepts and that no other layer of the flattened model has."""
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", name.split(":")[0])
        name = name if name[0].isalnum() else f"layer{name}"
        self._names[name] += 1
        return name if self._names[name] == 1 else self.unique(f"{name}__{self._names[name]}")

    def run(self, model: keras.Model, inputs: list, *, training: bool | None) -> Any:
        """Send symbolic tf_keras tensors through the graph; `training=False` reaches the layers of a nested model."""

        def visit(operation: Any) -> Callable[..., Any]:
            return lambda *args, **kwargs: self._visit(operation, args, kwargs, training)

        return _functional(model)._run_through_graph(inputs, operation_fn=visit)

    def _visit(self, operation: Any, args: tuple, kwargs: dict, training: bool | None) -> Any:
        if any(isinstance(leaf, keras.Variable) for leaf in tree.flatten((args, kwargs))):
            raise InputError(
                f"compress: {operation.name!r} ({type(operation).__name__}) computes with a weight directly, which the "
                "bridge would take for a constant. Put both into a layer and teach the bridge: bridge.register(...)."
            )
        if isinstance(operation, keras.Model) and not is_registered(operation):
            nested = _checked(operation)
            flag = False if kwargs.get("training") is False else training
            return self.run(nested, self._inputs(nested, args[0] if args else kwargs["inputs"]), training=flag)
        if not isinstance(operation, keras.Layer):
            return bridge_ops.apply(operation, args, kwargs, self.unique(operation.name))
        return self._layer(operation).call(*args, **_kwargs(operation, kwargs, training))

    def _inputs(self, model: keras.Model, given: Any) -> list:
        """What a nested model makes of its inputs: a dict is matched by names, ranks and dtypes are made to fit."""
        wanted = _functional(model).inputs
        if isinstance(given, dict) and not isinstance(_functional(model)._inputs_struct, dict):
            given = [given[tensor.name] for tensor in wanted]
        return [self._fitted(x, tensor) for x, tensor in zip(tree.flatten(given), wanted, strict=True)]

    def _fitted(self, x: Any, wanted: Any) -> Any:
        if x.dtype.name != wanted.dtype:
            x = host(ops.cast, (x, wanted.dtype), {}, name=self.unique(f"{wanted.name}_cast"))
        if len(x.shape) == len(wanted.shape):
            return x
        change = ops.squeeze if len(x.shape) > len(wanted.shape) else ops.expand_dims
        return host(change, (x,), {"axis": -1}, name=self.unique(f"{wanted.name}_fitted"))

    def _layer(self, layer: keras.Layer) -> Translated:
        if id(layer) not in self._made:
            name = self.unique(layer.name)
            made = translate(layer, name)
            self._made[id(layer)] = carried(made, name) if name in self._carriers else made
        return self._made[id(layer)]


def _kwargs(layer: keras.Layer, kwargs: dict, training: bool | None) -> dict:
    """Call arguments that are set; `training=False` is handed to layers that act on it.

    A layer called with `training=True` follows the model all the same, as it does in Keras 3's own `predict`. Keras
    writes a default of False into the graph as if the user had said so (a Dropout's, say): it is not taken for that.
    """
    kwargs = {key: value for key, value in kwargs.items() if value is not None}
    said = kwargs.pop("training", None)
    if said is False and layer._call_signature.parameters["training"].default is not False:
        training = False
    if training is False and layer._call_has_training_arg:
        kwargs["training"] = False
    return kwargs
