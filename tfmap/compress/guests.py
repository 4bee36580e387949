"""Guests of Keras 3 with rounding between their ops, as an int8 file has it.

tfmot's wrapper rounds what a layer gives. A LayerNormalization or an attention is a dozen ops, and those inside would
stay in float in the file. So the guest is traced once, and its ops are run one by one, each with a range of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tfmap.centred import CentredNormalization
from tfmap.compress import fake_quantizers
from tfmap.compress.hosted import SCOPE, Held, Hosted

_KINDS = (
    *(keras.layers.LayerNormalization, keras.layers.GroupNormalization, keras.layers.RMSNormalization),
    *(keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention, keras.layers.EinsumDense),
)
# What they give is in the range of what they read.
_MOVES = (
    *("Identity", "StopGradient", "Reshape", "Transpose", "Squeeze", "ExpandDims", "StridedSlice", "Slice", "Pad"),
    *("MaxPool", "ConcatV2", "Split", "GatherV2", "BroadcastTo", "Tile"),
)


def _branches(graph: tf.Graph) -> bool:
    """Whether it calls functions, as loops and conditions do."""
    return any(
        key for op in graph.get_operations() for key in op.node_def.attr if op.node_def.attr[key].HasField("func")
    )


def _squared(x: tf.Tensor) -> tf.Tensor:
    return x * x


# What integers have no op for, in ops that they have.
_SPELLED = {"Neg": lambda x: x * -1, "Square": _squared, "SquaredDifference": lambda x, y: _squared(x - y)}
# A small variance is rounded to zero, of which no range could hold the root: half a step of int8 stands for it.
_ZERO = 0.5 / 255
_SHARES = (0.0, 255 / 256)  # what a softmax of int8 gives in any file


class RoundedGuest(Hosted):
    """A hosted layer of one output whose ops have a range each.

    Attributes:
        ranges: what the ranges listen to; None leaves out the rounding.
    """

    ranges: fake_quantizers.CalibratedRange | None = None

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.graph = Held(self._traced(input_shape))
        count = len(input_shape) if isinstance(input_shape, list) else 1
        # Held: they are no weights of the guest, and only calibration moves them.
        self.ends = Held({op.name: _ends(op) for op in _rounded(self.graph.value, count)})

    def call(self, inputs: tf.Tensor | list[tf.Tensor], training: Any = None) -> Any:
        if not self.ends.value:
            return super().call(inputs, training)
        return tf.autograph.experimental.do_not_convert(self._played)(inputs, training)

    def _traced(self, input_shape: Any) -> tf.Graph:
        """Its ops at inference, without variables: the weights are arguments, behind the tensors."""
        several = isinstance(input_shape, list)
        tensors = [tf.TensorSpec(shape) for shape in (input_shape if several else [input_shape])]
        weights = [tf.TensorSpec(own.shape, own.dtype) for own in self.own.value]
        guest = Hosted(Held(_for_integers(self.function.value, input_shape)), self.template, name=self.name)

        def run(tensors: list, weights: list) -> Any:
            return guest.run(tensors, False, weights)

        as_it_is = _graph(run, tensors, weights)
        if _branches(as_it_is):
            return as_it_is
        return _graph(lambda *given: play(as_it_is, tf.nest.flatten(given), _spelled), tensors, weights)

    def _played(self, inputs: Any, training: Any) -> tf.Tensor:
        tensors = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        weights = [tf.convert_to_tensor(own) for own in self.own.value]
        return play(self.graph.value, [*tensors, *weights], self._rounding(bool(training)))

    def _rounding(self, training: bool) -> Callable[[tf.Operation, list[tf.Tensor]], list[tf.Tensor]]:
        """(op, its inputs) -> its outputs, rounded where they have a range."""

        def run(op: tf.Operation, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
            outputs = run_op(op, inputs)
            if self.ranges is None or op.name not in self.ends.value:
                return outputs
            ranges = fake_quantizers.FixedRange() if op.type == "Softmax" else self.ranges
            ends = self.ends.value[op.name]
            rounded = ranges(outputs[0], training, ends)
            roots = any(reader.type == "Rsqrt" for reader in op.outputs[0].consumers())
            return [tf.maximum(rounded, _ZERO * ends["max_var"]) if training and roots else rounded]

        return run


SCOPE["RoundedGuest"] = RoundedGuest


def taken_apart(legacy: tf_keras.Model) -> dict[str, tuple[RoundedGuest, list[np.ndarray]]]:
    """Name of a guest that has ops inside -> the RoundedGuest in its place, and its weights once it is built.

    Those that are called more than once, or on something else than floats, stay as they are.

    Args:
        legacy: a bridged model.
    """
    return {
        layer.name: (RoundedGuest.from_config(layer.get_config()), layer.get_weights())
        for layer in legacy.layers
        if type(layer) is Hosted and _has_ops_inside(layer.function.value) and _reads_floats_once(layer)
    }


def _has_ops_inside(guest: Any) -> bool:
    """Whether it is a layer of several ops: one of `_KINDS`, or one of a user or of keras.applications."""
    own = isinstance(guest, keras.Layer) and not type(guest).__module__.startswith("keras.src.layers.")
    return own or type(guest) in _KINDS


def _reads_floats_once(layer: tf_keras.layers.Layer) -> bool:
    return len(layer.inbound_nodes) == 1 and all(one.dtype == tf.float32 for one in tf.nest.flatten(layer.input))


def play(graph: tf.Graph, given: list[tf.Tensor], run: Callable[[tf.Operation, list[tf.Tensor]], Any]) -> tf.Tensor:
    """Run a traced function op by op.

    Args:
        graph: of one output.
        given: its arguments.
        run: (op, its inputs) -> its outputs.
    """
    constants = [constant for constant, _ in graph.captures]
    values = {tensor.name: value for tensor, value in zip(graph.inputs, [*given, *constants], strict=True)}
    for op in graph.get_operations():
        if op.outputs and op.type != "Placeholder":
            outputs = run(op, [values[tensor.name] for tensor in op.inputs])
            values |= {tensor.name: value for tensor, value in zip(op.outputs, outputs, strict=True)}
    return values[graph.outputs[0].name]


def run_op(op: tf.Operation, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
    """An op of a graph on other tensors."""
    if op.type == "Const":
        return [tf.constant(tf.make_ndarray(op.get_attr("value")), op.outputs[0].dtype)]
    function, rest = getattr(tf.raw_ops, op.type), iter(inputs)
    names = [name for name in inspect.signature(function).parameters if name != "name"]
    arguments = [_argument(op, arg, rest) for arg in op.op_def.input_arg]  # they come first, some by another name
    attributes = {name: op.get_attr(name) for name in names[len(arguments) :]}
    return tf.nest.flatten(function(**dict(zip(names, arguments, strict=False)), **attributes))


def _spelled(op: tf.Operation, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
    return [_SPELLED[op.type](*inputs)] if op.type in _SPELLED else run_op(op, inputs)


def _graph(function: Callable, *specs: Any) -> tf.Graph:
    return tf.function(function, autograph=False).get_concrete_function(*specs).graph


def _argument(op: tf.Operation, arg: Any, rest: Iterator[tf.Tensor]) -> Any:
    return [next(rest) for _ in range(op.get_attr(arg.number_attr))] if arg.number_attr else next(rest)


def _rounded(graph: tf.Graph, count: int) -> list[tf.Operation]:
    """Ops that compute with the first `count` arguments, but for the last, which the wrapper rounds.

    None in a guest that stays whole.
    """
    if _branches(graph):
        return []
    last, found = graph.outputs[0].op, []
    while last.type in _MOVES:
        last = last.inputs[0].op
    reached = {tensor.name for tensor in graph.inputs[:count]}
    for op in graph.get_operations():
        if any(tensor.name in reached for tensor in op.inputs):
            reached |= {tensor.name for tensor in op.outputs}
            found += [op] if op.outputs[0].dtype == tf.float32 and op.type not in _MOVES and op is not last else []
    return found


def _ends(op: tf.Operation) -> dict[str, tf.Variable]:
    low, high = _SHARES if op.type == "Softmax" else (0.0, 0.0)
    return {"min_var": tf.Variable(low, trainable=False), "max_var": tf.Variable(high, trainable=False)}


def _for_integers(layer: keras.Layer, input_shape: Any) -> keras.Layer:
    """The guest in a form that integers can hold; its weights have the same order."""
    if type(layer) is not keras.layers.LayerNormalization:
        return layer
    centred = CentredNormalization.from_config(layer.get_config())
    centred.build(tuple(input_shape))
    return centred
