"""tf_keras layers of our own: a Keras 3 function, operation or layer as a guest, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import keras
import tensorflow as tf
import tf_keras
from keras import tree


class Held:
    """A live object inside a layer config; copies of the config share it (tfmot deep-copies configs)."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __deepcopy__(self, memo: dict) -> Held:
        return self


class Slot:
    """The place of a tensor in the arguments of a hosted operation."""

    def __init__(self, index: int) -> None:
        self.index = index

    def __repr__(self) -> str:
        return f"Slot({self.index})"


class Hosted(tf_keras.layers.Layer):
    """A Keras 3 function, operation or layer inside a tf_keras model.

    The weights of a Keras 3 layer become weights of this one, in the order of `weights_of`; the Keras 3 layer runs on
    their values and its own stay as they are.

    Args:
        function: Held callable on TensorFlow tensors.
        template: Held (args, kwargs) of the call, with a Slot where a tensor goes.
    """

    def __init__(self, function: Held, template: Held, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = function
        # Held, as tf_keras would otherwise track the containers and wrap them.
        self.template = template
        self.own = Held([])

    def build(self, input_shape: Any) -> None:
        self.own = Held([self._weight(*numbered) for numbered in enumerate(weights_of(self.function.value))])
        super().build(input_shape)

    def _weight(self, index: int, variable: Any) -> tf.Variable:
        """A number makes the name unique: a Bidirectional has two of each."""
        kind = {"shape": tuple(variable.shape), "dtype": variable.dtype, "initializer": "zeros"}
        learns = _learns(self.function.value, variable)
        return self.add_weight(name=f"{variable.name}_{index}", trainable=learns, **kind)

    def call(self, inputs: tf.Tensor | list[tf.Tensor], training: Any = None) -> Any:
        # Autograph cannot read Keras 3's sources as Keras 2 code.
        return tf.autograph.experimental.do_not_convert(self.run)(inputs, training, self.own.value)

    def run(self, inputs: tf.Tensor | list[tf.Tensor], training: Any, weights: list) -> Any:
        """What the guest gives on weights, in the order of `weights_of`; what it changes is kept in the variables."""
        tensors = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        args, kwargs = tree.map_structure(
            lambda leaf: tensors[leaf.index] if isinstance(leaf, Slot) else leaf, self.template.value
        )
        function = self.function.value
        if not isinstance(function, keras.Layer):
            return function(*args, **kwargs)
        if function._call_has_training_arg:
            # While a model is put together, tf_keras may hand over a symbolic flag.
            kwargs = {"training": bool(training) if isinstance(training, bool | int) else False, **kwargs}
        return self._as_layer(function, args, kwargs, weights)

    def _as_layer(self, layer: keras.Layer, args: tuple, kwargs: dict, weights: list) -> Any:
        """Call the Keras 3 layer on our weights; what it changes (statistics, seeds) is kept."""
        ours = list(zip(weights_of(layer), weights, strict=True))
        with keras.StatelessScope([(variable, tf.convert_to_tensor(own)) for variable, own in ours]) as scope:
            before = dict(scope.state_mapping)
            outputs = layer(*args, **kwargs)
        targets = {id(variable): own for variable, own in ours}
        for variable in layer.variables:
            value = scope.get_current_value(variable)
            if value is not None and value is not before.get(id(variable)):
                targets.get(id(variable), variable).assign(value)
        return outputs

    def get_config(self) -> dict:
        return {**super().get_config(), "function": self.function, "template": self.template}


def weights_of(function: Any) -> list:
    """The weights of a Keras 3 layer, those that learn first, as tf_keras orders them; none for a function."""
    if not isinstance(function, keras.Layer):
        return []
    return sorted(function.weights, key=lambda weight: not _learns(function, weight))


def _learns(layer: keras.Layer, variable: Any) -> bool:
    """Whether a weight is one to train, also in a layer that is frozen now."""
    return any(variable is own for part in layer._flatten_layers() for own in part._trainable_variables)


def host(function: Callable, args: tuple, kwargs: dict, *, name: str) -> Any:
    """Call a Keras 3 function on symbolic tf_keras tensors through a Hosted layer.

    Args:
        function: stateless callable that accepts TensorFlow tensors.
        args: positional arguments; symbolic tensors may stand anywhere inside.
        kwargs: keyword arguments, likewise.
        name: name of the new layer.

    Returns:
        Symbolic output(s).
    """
    tensors, template = slotted(args, kwargs)
    return called(Hosted(Held(function), Held(template), name=name), tensors)


def hosted(function: Callable, name: str) -> Callable[..., Any]:
    """A stateless Keras 3 function as a function of symbolic tf_keras tensors; every call is a layer of its own."""
    calls = count()

    def call(*args: Any, **kwargs: Any) -> Any:
        number = next(calls)
        return host(function, args, kwargs, name=f"{name}_{number}" if number else name)

    return call


def slotted(args: tuple, kwargs: dict) -> tuple[list, tuple]:
    """(the symbolic tensors in the arguments of a call, the arguments with a Slot in their place)."""
    tensors: list = []

    def slot(leaf: Any) -> Any:
        if not is_symbolic(leaf):
            return leaf
        tensors.append(leaf)
        return Slot(len(tensors) - 1)

    return tensors, tree.map_structure(slot, (tuple(args), dict(kwargs)))


def called(layer: tf_keras.layers.Layer, tensors: list) -> Any:
    """The layer's symbolic output for its tensors: one alone, or a list."""
    return layer(tensors[0] if len(tensors) == 1 else tensors)


def is_symbolic(value: Any) -> bool:
    """Whether a value is a symbolic tensor of a tf_keras model under construction."""
    return hasattr(value, "_keras_history")


# The names under which tfmot finds our layers again when it rebuilds a model from its config.
SCOPE = {"Hosted": Hosted}
