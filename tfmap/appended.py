"""Ops behind the outputs of a .tflite file, whatever engine and format it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from tfmap import flatbuffer
from tfmap.errors import InputError

_TYPES = {name: getattr(schema.TensorType, name.upper()) for name in ("float32", "int32", "uint8")}
# op -> its table of options; one that is not here has none, or may do without
_OPTIONS = {
    "ADD": "AddOptions",
    "ARG_MAX": "ArgMaxOptions",
    "CAST": "CastOptions",
    "CONCATENATION": "ConcatenationOptions",
    "GATHER": "GatherOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MUL": "MulOptions",
    "PAD": "PadOptions",
    "SUB": "SubOptions",
}


class Appended:
    """A file that grows at its end. Tensors go by their numbers.

    Args:
        model: bytes of a .tflite file with one signature.
    """

    def __init__(self, model: bytes) -> None:
        self._parsed, self._size = flatbuffer.parse(model), len(model)
        self._graph, self._signature = self._parsed.subgraphs[0], self._parsed.signatureDefs[0]

    def only(self) -> tuple[int, tuple[int, ...]]:
        """The file's one output, whatever its dtype: its tensor, and its shape, -1 where that is open."""
        (one,) = self._signature.outputs
        tensor = self._graph.tensors[one.tensorIndex]
        shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
        return one.tensorIndex, tuple(map(int, shape))

    def output(self, name: str) -> int:
        """An output of the file.

        Args:
            name: in its signature.

        Raises:
            InputError: an output that is not there, or is not float32.
        """
        places = {_text(one.name): one.tensorIndex for one in self._signature.outputs}
        if name not in places:
            raise InputError(f"export: the file has no output {name!r}. Its outputs: {', '.join(places)}.")
        if self._graph.tensors[places[name]].type != schema.TensorType.FLOAT32:
            raise InputError(
                f"export: the output {name!r} must be float32 for what follows it. Use output_type=float32."
            )
        return places[name]

    def constant(self, values: np.ndarray, name: str) -> int:
        """Numbers in the file.

        Args:
            values: float32 or int32.
            name: of their tensor.
        """
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._parsed.buffers.append(buffer)
        self._size += values.nbytes
        return self._tensor(name, values.shape, str(values.dtype), buffer=len(self._parsed.buffers) - 1)

    def op(
        self, name: str, inputs: Sequence[int], output: tuple[str, tuple[int, ...], str], **options: int | str
    ) -> int:
        """An op that every runtime has.

        Args:
            name: as in the schema, such as "MAXIMUM".
            inputs: what it reads.
            output: name, shape (-1 where it is open) and dtype of what it gives.
            options: fields of its table of options, such as axis=2; dtypes by name.
        """
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        made = self._operator(code, inputs, [self._tensor(*output)])
        if name in _OPTIONS:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, _OPTIONS[name])
            made.builtinOptions = getattr(schema, f"{_OPTIONS[name]}T")()
            for key, value in options.items():
                setattr(made.builtinOptions, key, _TYPES[value] if isinstance(value, str) else value)
        return made.outputs[0]

    def custom(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Mapping[str, tuple[int, ...]],
        options: Mapping[str, int | float | bool],
    ) -> list[int]:
        """A custom op.

        Args:
            name: under which runtimes know it.
            inputs: what it reads.
            outputs: name -> shape, all float32, in the op's order.
            options: what it is told, numbers and truths by name.
        """
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = name
        made = self._operator(code, inputs, [self._tensor(*one, "float32") for one in outputs.items()])
        made.customOptions = np.frombuffer(bytes(flexbuffers.Dumps(dict(options))), np.uint8)
        made.customOptionsFormat = schema.CustomOptionsFormat.FLEXBUFFERS
        return list(made.outputs)

    def finished(self, outputs: Mapping[str, int]) -> bytes:
        """The file.

        Args:
            outputs: name in the signature, which becomes the tensor's own, -> tensor; its only outputs.
        """
        for name, tensor in outputs.items():
            self._graph.tensors[tensor].name = name
        self._graph.outputs = np.array(list(outputs.values()), np.int32)
        self._signature.outputs = [_named(*one) for one in outputs.items()]
        return flatbuffer.pack(self._parsed, self._size)

    def _tensor(self, name: str, shape: Sequence[int], dtype: str, *, buffer: int = 0) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, np.abs(np.array(shape, np.int32)), _TYPES[dtype], buffer
        if -1 in shape:
            made.shapeSignature = np.array(shape, np.int32)
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def _operator(self, code: Any, inputs: Sequence[int], outputs: list[int]) -> Any:
        code.version = 1
        self._parsed.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self._parsed.operatorCodes) - 1
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        self._graph.operators.append(made)
        return made


def _named(name: str, tensor: int) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, tensor
    return made


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
