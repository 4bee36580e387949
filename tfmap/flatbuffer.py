"""The bytes of a .tflite file: its graph read, its named buffers read and written. No interpreter, so nothing hides."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema  # as TensorFlow has it, without TensorFlow

from tfmap.errors import InputError
from tfmap.graph import Graph, Op, Outline, Signature, Tensor

IDENTIFIER = b"TFL3"
MEND = "It is cut, or points outside itself. Export it again, or fetch it again."
_TYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
_OPS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_BUILTIN = set(_OPS.values()) - {"CUSTOM"}
_NUMBERS = ("int8", "uint8", "int16", "int32", "float16", "float32")
_BROKEN = (struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError)


def load(model: str | Path | bytes) -> bytes:
    """The bytes of a .tflite file.

    Raises:
        FileNotFoundError: the file does not exist.
    """
    if isinstance(model, bytes):
        return model
    if not Path(model).is_file():
        raise FileNotFoundError(f"{model} does not exist. Expected a .tflite file.")
    return Path(model).read_bytes()


def read(model: str | Path | bytes) -> Graph:
    """The main graph of a file and of those that it calls (ops of all subgraphs, inputs and outputs of the first).

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: it is no TFLite file, or a broken one.
    """
    parsed = parse(model)
    try:
        return _graph(parsed)
    except _BROKEN as error:
        raise InputError(f"{_name(model)} is a broken TFLite file: {error}. {MEND}") from error


def array(tensor: Tensor) -> np.ndarray | None:
    """The values of a constant tensor.

    Args:
        tensor: of a graph that `read` gave.

    Returns:
        float32 in the tensor's shape, dequantised; None where the tensor is computed, is packed in a sparse or
        blockwise form, holds no numbers, or has scales that do not fit its shape.
    """
    values = None if tensor.data is None else _numbers(tensor.data, tensor.dtype)
    if values is None or values.size < math.prod(tensor.shape) or not _scales_fit(tensor):
        return None
    values = values[: math.prod(tensor.shape)].astype(np.float32).reshape(tensor.shape)
    if not tensor.scale:
        return values
    along = [-1 if axis == tensor.axis and len(tensor.scale) > 1 else 1 for axis in range(values.ndim)]
    scale, zero = np.float32(tensor.scale).reshape(along), np.float32(tensor.zero_point or 0).reshape(-1)
    return (values - (zero.reshape(along) if zero.size == scale.size else zero[0])) * scale


def _scales_fit(tensor: Tensor) -> bool:
    """Whether there is a scale for the whole tensor, for each place along its axis, or none."""
    return len(tensor.scale) < 2 or tensor.shape[tensor.axis : tensor.axis + 1] == (len(tensor.scale),)


def outline(model: str | Path | bytes) -> Outline:
    """All that a file holds, of any maker.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: it is no TFLite file, or a broken one.
    """
    parsed = parse(model)
    try:
        buffers = {_text(entry.name): parsed.buffers[entry.buffer].data for entry in parsed.metadata or []}
        return Outline(
            description=_text(parsed.description),
            schema=int(parsed.version),
            subgraphs=_named_graphs(parsed),
            signatures=tuple(_signature(signature, parsed) for signature in parsed.signatureDefs or []),
            buffers={name: b"" if data is None else bytes(data) for name, data in buffers.items()},
        )
    except _BROKEN as error:
        raise InputError(f"{_name(model)} is a broken TFLite file: {error}") from error


def named_buffer(model: str | Path | bytes, name: str) -> bytes | None:
    """The buffer that the file's own metadata list holds under this name, None where there is none."""
    parsed = parse(model)
    for entry in parsed.metadata or []:
        data = parsed.buffers[entry.buffer].data if entry.name == name.encode() else None
        if data is not None:
            return bytes(data)
    return None


def with_named_buffer(model: bytes, name: str, data: bytes) -> bytes:
    """The same model with a buffer under this name in its metadata list; one that was there under it is replaced.

    What stood behind the flatbuffer (a zip of associated files) is dropped.
    """
    parsed = parse(model)
    entry = next((entry for entry in parsed.metadata or [] if entry.name == name.encode()), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(parsed.buffers)
        parsed.buffers.append(schema.BufferT())
        parsed.metadata = [*(parsed.metadata or []), entry]
    parsed.buffers[entry.buffer].data = np.frombuffer(data, np.uint8)
    return pack(parsed, len(model) + len(data))


def pack(parsed: Any, size: int) -> bytes:
    """A parsed model as a file; `size` is about what it will take."""
    builder = _Builder(size + 4096)
    builder.Finish(parsed.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):
    """Writes equal vectors and texts once, and starts byte vectors at multiples of 16.

    Each kernel has a zero point for every channel, all of them 0, and so has each bias: an eighth of a small integer
    file. The schema asks for 16 (`force_align`) so that a runtime can use weights where they lie, memory-mapped; the
    generated Python code forgets it.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[Any, ...], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802 (flatbuffers' names)
        return self._once((x.dtype.str, x.tobytes()), lambda: super(_Builder, self).CreateNumpyVector(x))

    def CreateString(self, s: str | bytes, *how: str) -> int:  # noqa: N802
        return self._once((type(s), s, *how), lambda: super(_Builder, self).CreateString(s, *how))

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)

    def _once(self, content: tuple[Any, ...], write: Callable[[], int]) -> int:
        """Where this content stands; it is written at its first use."""
        if content not in self._written:
            self._written[content] = write()
        return self._written[content]


def _name(model: str | Path | bytes) -> str:
    return "the model" if isinstance(model, bytes) else str(model)


def parse(model: str | Path | bytes) -> Any:
    """All of a file as objects of the schema, to be changed and packed again.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: it is no TFLite file, or a broken one.
    """
    data = load(model)
    if data[4:8] != IDENTIFIER:
        raise InputError(
            f"{_name(model)} is not a TFLite file: bytes 4 to 8 must be {IDENTIFIER!r}, received {data[4:8]!r}."
        )
    try:
        return _inlined(schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(data), 0)), data)
    except _BROKEN as error:
        raise InputError(f"{_name(model)} is a broken TFLite file: {error}. {MEND}") from error


def _numbers(data: np.ndarray, dtype: str) -> np.ndarray | None:
    """Constant bytes as numbers in one row; 4-bit ones lie two in a byte, the first in the lower half."""
    if dtype == "int4":
        halves = np.stack([data & 15, data >> 4], axis=-1).reshape(-1).astype(np.int8)
        return np.where(halves > 7, halves - 16, halves)
    return np.frombuffer(bytes(data), dtype) if dtype in _NUMBERS else None


def _inlined(parsed: Any, data: bytes) -> Any:
    """The model with all constants inside: some writers put them behind the flatbuffer and leave offset and size."""
    for buffer in parsed.buffers or []:
        if buffer.offset > 1:  # 0 and 1 say that there is nothing
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return parsed


def _graph(parsed: Any) -> Graph:
    names = [_op_name(code) for code in parsed.operatorCodes]
    graphs = [_subgraph(raw, parsed.buffers, names, main=not n) for n, raw in enumerate(parsed.subgraphs)]
    return Graph(tuple(op for graph in graphs for op in graph.ops), graphs[0].inputs, graphs[0].outputs)


def _subgraph(subgraph: Any, buffers: list, names: list[str], *, main: bool = True) -> Graph:
    tensors = [_tensor(tensor, buffers, index if main else -1) for index, tensor in enumerate(subgraph.tensors)]

    def pick(indices: Any) -> tuple[Tensor, ...]:
        return tuple(tensors[i] for i in (indices if indices is not None else ()) if i >= 0)  # -1: an absent bias

    def op(raw: Any) -> Op:
        name = names[raw.opcodeIndex]
        return Op(name, pick(raw.inputs), pick(raw.outputs), custom=name not in _BUILTIN)

    return Graph(tuple(map(op, subgraph.operators or [])), pick(subgraph.inputs), pick(subgraph.outputs))


def _named_graphs(parsed: Any) -> tuple[tuple[str, Graph], ...]:
    names = [_op_name(code) for code in parsed.operatorCodes]
    if not parsed.subgraphs:
        raise ValueError("it holds no graph")
    graphs = enumerate(parsed.subgraphs)
    return tuple((_text(raw.name), _subgraph(raw, parsed.buffers, names, main=not n)) for n, raw in graphs)


def _signature(signature: Any, parsed: Any) -> Signature:
    tensors = parsed.subgraphs[signature.subgraphIndex].tensors

    def named(entries: Any) -> dict[str, str]:
        return {_text(entry.name): _text(tensors[entry.tensorIndex].name) for entry in entries or []}

    return Signature(_text(signature.signatureKey), named(signature.inputs), named(signature.outputs))


def _text(value: bytes | str | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def _op_name(code: Any) -> str:
    if code.customCode:
        return code.customCode.decode()
    # Codes up to 127 stand in the older field, in older files only there.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number not in _OPS:
        raise ValueError(f"op {number} is unknown; it is newer than the ai-edge-litert that is installed")
    return _OPS[number]


def _tensor(tensor: Any, buffers: list, index: int) -> Tensor:
    quantised = tensor.quantization
    scale = () if quantised is None or quantised.scale is None else tuple(map(float, quantised.scale))
    zero = () if quantised is None or quantised.zeroPoint is None else tuple(map(int, quantised.zeroPoint))
    data, dtype = buffers[tensor.buffer].data, _TYPES[tensor.type]
    return Tensor(
        name=_text(tensor.name),
        dtype=dtype,
        buffer=int(tensor.buffer),
        shape=_sizes(tensor.shape),
        shape_signature=_sizes(tensor.shapeSignature),
        scale=scale,
        zero_point=zero,
        nbytes=0 if data is None else len(data),
        zeros=_zeros(data, dtype, zero),
        axis=0 if quantised is None else int(quantised.quantizedDimension),
        index=index,
        data=data,
    )


def _sizes(values: np.ndarray | None) -> tuple[int, ...]:
    return () if values is None else tuple(map(int, values))


def _zeros(data: np.ndarray | None, dtype: str, zero: tuple[int, ...]) -> int:
    values = None if data is None else _numbers(data, dtype)
    return 0 if values is None else int(np.count_nonzero(values == (zero[0] if len(zero) == 1 else 0)))
