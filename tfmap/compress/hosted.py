"""tf_keras layers of our own: a Keras 3 operation as a guest, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


class Hosted(tf_keras.layers.Layer):
    """A stateless Keras 3 function or operation inside a tf_keras model.

    Args:
        function: Held callable on TensorFlow tensors.
        template: Held (args, kwargs) of the call, with a Slot where a tensor goes.
    """

    def __init__(self, function: Held, template: Held, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = function
        # Held, as tf_keras would otherwise track the containers and wrap them.
        self.template = template

    def call(self, inputs: tf.Tensor | list[tf.Tensor]) -> Any:
        # Autograph cannot read Keras 3's sources as Keras 2 code.
        return tf.autograph.experimental.do_not_convert(self._run)(inputs)

    def _run(self, inputs: tf.Tensor | list[tf.Tensor]) -> Any:
        tensors = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        args, kwargs = tree.map_structure(
            lambda leaf: tensors[leaf.index] if isinstance(leaf, Slot) else leaf, self.template.value
        )
        return self.function.value(*args, **kwargs)

    def get_config(self) -> dict:
        return {**super().get_config(), "function": self.function, "template": self.template}


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
    tensors: list = []

    def slot(leaf: Any) -> Any:
        if not is_symbolic(leaf):
            return leaf
        tensors.append(leaf)
        return Slot(len(tensors) - 1)

    template = tree.map_structure(slot, (tuple(args), dict(kwargs)))
    layer = Hosted(Held(function), Held(template), name=name)
    return layer(tensors[0] if len(tensors) == 1 else tensors)


def is_symbolic(value: Any) -> bool:
    """Whether a value is a symbolic tensor of a tf_keras model under construction."""
    return hasattr(value, "_keras_history")


# The names under which tfmot finds our layers again when it rebuilds a model from its config.
SCOPE = {"Hosted": Hosted}
