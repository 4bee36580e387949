"""Ops behind the outputs of a .tflite file, whatever engine and format it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from tfmap import flatbuffer
from tfmap.errors import InputError

_FLOAT32 = schema.TensorType.FLOAT32


class CustomOp(NamedTuple):
    """An op that takes outputs of a file, and constants.

    Attributes:
        name: under which runtimes know it.
        inputs: names of outputs by the file's signature, or float32 arrays.
        outputs: name -> shape, all float32, in the op's order; they become the file's only outputs.
        options: what it is told, numbers and truths by name.
    """

    name: str
    inputs: Sequence[str | np.ndarray]
    outputs: Mapping[str, tuple[int, ...]]
    options: Mapping[str, int | float | bool]


def append(model: bytes, op: CustomOp) -> bytes:
    """The file with the op behind it.

    Args:
        model: bytes of a .tflite file with one signature; its outputs that the op takes must be float32.
        op: what is to follow.

    Raises:
        InputError: an output that is not there, or is not float32.
    """
    parsed = flatbuffer.parse(model)
    graph, signature = parsed.subgraphs[0], parsed.signatureDefs[0]
    places = {_text(entry.name): entry.tensorIndex for entry in signature.outputs}
    inputs = [_place(parsed, graph, places, one) for one in op.inputs]
    outputs = [_tensor(graph, name, shape) for name, shape in op.outputs.items()]
    parsed.operatorCodes.append(_code(op.name))
    graph.operators.append(_operator(len(parsed.operatorCodes) - 1, inputs, outputs, op.options))
    graph.outputs = np.array(outputs, np.int32)
    signature.outputs = [_named(*pair) for pair in zip(op.outputs, outputs, strict=True)]
    return flatbuffer.pack(parsed, len(model) + sum(one.nbytes for one in op.inputs if not isinstance(one, str)))


def bounded(model: bytes, output: str, least: float, most: float) -> bytes:
    """The file with an output kept between two numbers, under the same name.

    Args:
        model: bytes of a .tflite file with one signature.
        output: its name in the signature, float32.
        least: what is below becomes this.
        most: what is above becomes this.

    Raises:
        InputError: an output that is not there, or is not float32.
    """
    parsed = flatbuffer.parse(model)
    graph, signature = parsed.subgraphs[0], parsed.signatureDefs[0]
    first = place = _place(parsed, graph, {_text(one.name): one.tensorIndex for one in signature.outputs}, output)
    for name, bound in (("MAXIMUM", least), ("MINIMUM", most)):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = 1
        parsed.operatorCodes.append(code)
        limit = _constant(parsed, graph, np.float32([bound]), f"{output}_{name.lower()}_of")
        result = _tensor(graph, f"{output}_{name.lower()}", graph.tensors[place].shape)
        graph.operators.append(_builtin(len(parsed.operatorCodes) - 1, [place, limit], [result]))
        place = result
    graph.tensors[first].name, graph.tensors[place].name = f"{output}_unbounded", graph.tensors[first].name
    graph.outputs = np.array([place if one == first else one for one in graph.outputs], np.int32)
    for one in signature.outputs:
        one.tensorIndex = place if one.tensorIndex == first else one.tensorIndex
    return flatbuffer.pack(parsed, len(model))


def _builtin(code: int, inputs: list[int], outputs: list[int]) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, np.array(inputs, np.int32), np.array(outputs, np.int32)
    made.builtinOptionsType = schema.BuiltinOptions.MaximumMinimumOptions
    made.builtinOptions = schema.MaximumMinimumOptionsT()
    return made


def _constant(parsed: Any, graph: Any, values: np.ndarray, name: str) -> int:
    """Number of a new tensor that holds float32 values."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
    parsed.buffers.append(buffer)
    return _tensor(graph, name, values.shape, buffer=len(parsed.buffers) - 1)


def _place(parsed: Any, graph: Any, places: Mapping[str, int], one: str | np.ndarray) -> int:
    """Number of the tensor that an input is."""
    if not isinstance(one, str):
        return _constant(parsed, graph, one, "anchors")
    if one not in places:
        raise InputError(f"export: the file has no output {one!r}. Its outputs: {', '.join(places)}.")
    if graph.tensors[places[one]].type != _FLOAT32:
        raise InputError(f"export: the output {one!r} must be float32 for what follows it. Use output_type=float32.")
    return places[one]


def _tensor(graph: Any, name: str, shape: Sequence[int], *, buffer: int = 0) -> int:
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, np.array(shape, np.int32), _FLOAT32, buffer
    graph.tensors.append(made)
    return len(graph.tensors) - 1


def _code(name: str) -> Any:
    made = schema.OperatorCodeT()
    made.builtinCode = made.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    made.customCode, made.version = name, 1
    return made


def _operator(code: int, inputs: list[int], outputs: list[int], options: Mapping[str, Any]) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, np.array(inputs, np.int32), np.array(outputs, np.int32)
    made.customOptions = np.frombuffer(bytes(flexbuffers.Dumps(dict(options))), np.uint8)
    made.customOptionsFormat = schema.CustomOptionsFormat.FLEXBUFFERS
    return made


def _named(name: str, tensor: int) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, tensor
    return made


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
