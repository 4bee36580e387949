"""The bytes of a .tflite file: its graph read, its named buffers read and written. No interpreter, so nothing hides."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from tfmap.errors import InputError
from tfmap.graph import Graph, Op, Tensor

IDENTIFIER = b"TFL3"
_TYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
_OPS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_BROKEN = (struct.error, IndexError, TypeError, ValueError, AttributeError, OverflowError, MemoryError)


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
    parsed = _parse(model)
    try:
        return _graph(parsed)
    except _BROKEN as error:
        raise InputError(f"{_name(model)} is a broken TFLite file: {error}") from error


def named_buffer(model: str | Path | bytes, name: str) -> bytes | None:
    """The buffer that the file's own metadata list holds under this name, None where there is none."""
    parsed = _parse(model)
    for entry in parsed.metadata or []:
        data = parsed.buffers[entry.buffer].data if entry.name == name.encode() else None
        if data is not None:
            return bytes(data)
    return None


def with_named_buffer(model: bytes, name: str, data: bytes) -> bytes:
    """The same model with a buffer under this name in its metadata list; one that was there under it is replaced.

    What stood behind the flatbuffer (a zip of associated files) is dropped.
    """
    parsed = _parse(model)
    entry = next((entry for entry in parsed.metadata or [] if entry.name == name.encode()), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(parsed.buffers)
        parsed.buffers.append(schema.BufferT())
        parsed.metadata = [*(parsed.metadata or []), entry]
    parsed.buffers[entry.buffer].data = np.frombuffer(data, np.uint8)
    builder = _AlignedBuilder(len(model) + len(data) + 4096)
    builder.Finish(parsed.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):
    """Starts byte vectors at multiples of 16.

    The schema asks it of weights (`force_align: 16`) so that a runtime can use them where they lie, memory-mapped; the
    generated Python code forgets it.
    """

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802 (flatbuffers' name)
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)


def _name(model: str | Path | bytes) -> str:
    return "the model" if isinstance(model, bytes) else str(model)


def _parse(model: str | Path | bytes) -> Any:
    data = load(model)
    if data[4:8] != IDENTIFIER:
        raise InputError(
            f"{_name(model)} is not a TFLite file: bytes 4 to 8 must be {IDENTIFIER!r}, received {data[4:8]!r}."
        )
    try:
        return _inlined(schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(data), 0)), data)
    except _BROKEN as error:
        raise InputError(f"{_name(model)} is a broken TFLite file: {error}") from error


def _inlined(parsed: Any, data: bytes) -> Any:
    """The model with all constants inside: some writers put them behind the flatbuffer and leave offset and size."""
    for buffer in parsed.buffers or []:
        if buffer.offset > 1:  # 0 and 1 say that there is nothing
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return parsed


def _graph(parsed: Any) -> Graph:
    names = [_op_name(code) for code in parsed.operatorCodes]
    graphs = [_subgraph(subgraph, parsed.buffers, names) for subgraph in parsed.subgraphs]
    return Graph(tuple(op for graph in graphs for op in graph.ops), graphs[0].inputs, graphs[0].outputs)


def _subgraph(subgraph: Any, buffers: list, names: list[str]) -> Graph:
    tensors = [_tensor(tensor, buffers) for tensor in subgraph.tensors]

    def pick(indices: Any) -> tuple[Tensor, ...]:
        return tuple(tensors[i] for i in (indices if indices is not None else ()) if i >= 0)  # -1: an absent bias

    operators = subgraph.operators or []
    ops = tuple(Op(names[op.opcodeIndex], pick(op.inputs), pick(op.outputs)) for op in operators)
    return Graph(ops, pick(subgraph.inputs), pick(subgraph.outputs))


def _op_name(code: Any) -> str:
    if code.customCode:
        return code.customCode.decode()
    # Codes up to 127 stand in the older field, in older files only there.
    return _OPS[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _tensor(tensor: Any, buffers: list) -> Tensor:
    quantised = tensor.quantization
    scale = () if quantised is None or quantised.scale is None else tuple(map(float, quantised.scale))
    zero = () if quantised is None or quantised.zeroPoint is None else tuple(map(int, quantised.zeroPoint))
    data, dtype = buffers[tensor.buffer].data, _TYPES[tensor.type]
    return Tensor(
        name=(tensor.name or b"").decode(),
        dtype=dtype,
        shape=() if tensor.shape is None else tuple(map(int, tensor.shape)),
        scale=scale,
        zero_point=zero,
        nbytes=0 if data is None else len(data),
        zeros=_zeros(data, dtype, zero),
    )


def _zeros(data: np.ndarray | None, dtype: str, zero: tuple[int, ...]) -> int:
    if data is None or dtype not in ("int8", "uint8", "int16", "int32", "float16", "float32"):
        return 0
    values = np.frombuffer(bytes(data), dtype)
    return int(np.count_nonzero(values == (zero[0] if len(zero) == 1 else 0)))
