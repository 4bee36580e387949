"""TFLite Metadata between its flatbuffer and plain dicts, without generated code.

The dicts are what `flatc` writes as JSON: keys and enumerations by name, a union as `<key>_type` and `<key>`, what is
absent left out. The generated bindings stand in packages that need libusb and an old protobuf.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import number_types, packer
from flatbuffers.table import Table

from tfmap.errors import InputError, did_you_mean
from tfmap.export.metadata_schema import ENUMS, IDENTIFIER, ROOT, TABLES, UNIONS

# kind -> NumPy dtype, and how flatbuffers reads and writes it in a table
_NUMBERS = {
    "uint": (np.uint32, number_types.Uint32Flags, flatbuffers.Builder.PrependUint32Slot),
    "int": (np.int32, number_types.Int32Flags, flatbuffers.Builder.PrependInt32Slot),
    "float": (np.float32, number_types.Float32Flags, flatbuffers.Builder.PrependFloat32Slot),
}
BROKEN = (struct.error, IndexError, TypeError, ValueError, OverflowError)


def encode(value: Mapping[str, Any], table: str = ROOT, identifier: bytes = IDENTIFIER) -> bytes:
    """A flatbuffer whose root is this table.

    Args:
        value: field -> value, as `flatc` writes it as JSON.
        table: of the schema.
        identifier: four bytes.

    Raises:
        InputError: a field or a name that the schema does not have.
    """
    builder = flatbuffers.Builder(1024)
    builder.ForceDefaults(True)  # what the caller says is written, though it be a default
    builder.Finish(_write(builder, table, value), identifier)
    return bytes(builder.Output())


def decode(buffer: bytes, table: str = ROOT) -> dict[str, Any]:
    """The root table of a flatbuffer, as `encode` takes it.

    Raises:
        one of BROKEN: the bytes are none.
    """
    return _read(Table(bytearray(buffer), flatbuffers.encode.Get(packer.uoffset, buffer, 0)), table)


def _write(builder: flatbuffers.Builder, table: str, value: Mapping[str, Any]) -> int:
    _check_fields(table, value)
    # Children first: a flatbuffer grows from its end, and a table may only point to what stands already.
    present = [(slot, name, kind) for slot, name, kind in TABLES[table] if name in value]
    ready = [_written(builder, kind, value, name) for _, name, kind in present]
    builder.StartObject(max((slot for slot, _, _ in present), default=-1) + 1)
    for (slot, name, kind), item in zip(present, ready, strict=True):
        _put(builder, kind, slot, item)
        if kind in UNIONS:
            builder.PrependUint8Slot(slot - 1, UNIONS[kind].index(value[f"{name}_type"]), 0)
    return builder.EndObject()


def _check_fields(table: str, value: Mapping[str, Any]) -> None:
    known = [
        name for _, name, kind in TABLES[table] for name in ((f"{name}_type", name) if kind in UNIONS else (name,))
    ]
    for name in value:
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(f"TFLite Metadata: {table} has no field {name!r}. Its fields: {', '.join(known)}.{hint}")


def _written(builder: flatbuffers.Builder, kind: str, owner: Mapping[str, Any], name: str) -> Any:
    """A number, or where the value stands."""
    value = owner[name]
    if kind in _NUMBERS:
        return value
    if kind in ENUMS:
        return _place(kind, ENUMS[kind], value)
    if kind in UNIONS:
        _place(kind, UNIONS[kind], owner.get(f"{name}_type"))
        return _write(builder, owner[f"{name}_type"], value)
    if kind.startswith("["):
        return _write_vector(builder, kind[1:-1], value)
    return builder.CreateString(value) if kind == "string" else _write(builder, kind, value)


def _place(kind: str, names: Sequence[str], name: Any) -> int:
    if name not in names:
        raise InputError(f"TFLite Metadata: {name!r} is no {kind}. Known: {', '.join(names)}.")
    return names.index(name)


def _put(builder: flatbuffers.Builder, kind: str, slot: int, value: Any) -> None:
    if kind in _NUMBERS:
        _NUMBERS[kind][2](builder, slot, value, 0)
    elif kind in ENUMS:
        builder.PrependInt8Slot(slot, value, 0)
    else:
        builder.PrependUOffsetTRelativeSlot(slot, value, 0)


def _write_vector(builder: flatbuffers.Builder, kind: str, values: Sequence[Any]) -> int:
    if kind in _NUMBERS:
        return builder.CreateNumpyVector(np.asarray(values, _NUMBERS[kind][0]))
    if kind == "ubyte":
        return _write_bytes(builder, bytes(values))
    places = [builder.CreateString(v) if kind == "string" else _write(builder, kind, v) for v in values]
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return builder.EndVector()


def _write_bytes(builder: flatbuffers.Builder, data: bytes) -> int:
    """Aligned to 16, as the schema asks of the only such field: it holds a flatbuffer itself."""
    builder.StartVector(1, len(data), 16)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return builder.EndVector()


def _read(table: Table, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for slot, field, kind in TABLES[name]:
        offset = table.Offset(4 + 2 * slot)
        if kind in UNIONS and offset:
            kind = found[f"{field}_type"] = _name(UNIONS[kind], _byte(table, slot - 1))
            offset = offset if kind in TABLES else 0
        if offset:
            found[field] = _value(table, table.Pos + offset, kind)
    return found


def _byte(table: Table, slot: int) -> int:
    offset = table.Offset(4 + 2 * slot)
    return table.Get(number_types.Uint8Flags, table.Pos + offset) if offset else 0


def _name(names: Sequence[str], value: int) -> str | int:
    """The name of a value; one of a later schema than ours stays a number."""
    return names[value] if value < len(names) else value


def _value(table: Table, at: int, kind: str) -> Any:
    if kind in _NUMBERS:
        return _number(table, at, kind)
    if kind in ENUMS:
        return _name(ENUMS[kind], table.Get(number_types.Uint8Flags, at))
    if kind == "string":
        return table.String(at).decode("utf-8")
    if kind.startswith("["):
        return _vector(table, at, kind[1:-1])
    return _read(Table(table.Bytes, table.Indirect(at)), kind)


def _vector(table: Table, at: int, kind: str) -> list[Any]:
    offset = at - table.Pos  # Vector and VectorLen count from the table, not from the buffer
    start, length = table.Vector(offset), table.VectorLen(offset)
    if kind == "ubyte":
        return list(table.Bytes[start : start + length])
    return [_value(table, start + 4 * i, kind) for i in range(length)]


def _number(table: Table, at: int, kind: str) -> int | float:
    number = table.Get(_NUMBERS[kind][1], at)
    # The shortest decimal that is this float32: 0.2, not 0.20000000298.
    return float(str(np.float32(number))) if kind == "float" else number
