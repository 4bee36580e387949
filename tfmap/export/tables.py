"""Flatbuffer tables without generated code: written from plain dicts, read by slot number.

The schema of TFLite Metadata is small and frozen; a handful of slot numbers (in `metadata.py`) is easier to keep than
generated bindings or the packages that hold them, which need libusb and an old protobuf.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import number_types, packer
from flatbuffers.table import Table as _Table

# slot number -> value: an int is an 8-bit field (enum), a str a string, a dict a table, a list of floats a vector of
# float32, a list of dicts a vector of tables. None is left out.
Fields = dict[int, Any]


def encode(fields: Fields, identifier: bytes) -> bytes:
    """A flatbuffer whose root is this table."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, fields), identifier)
    return bytes(builder.Output())


def _write(builder: flatbuffers.Builder, fields: Fields) -> int:
    # Children first: a flatbuffer grows from its end, and a table may only point to what stands already.
    ready = {slot: _write_child(builder, value) for slot, value in fields.items() if value is not None}
    builder.StartObject(max(ready, default=-1) + 1)
    for slot, value in ready.items():
        if isinstance(fields[slot], int):
            builder.PrependUint8Slot(slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return builder.EndObject()


def _write_child(builder: flatbuffers.Builder, value: Any) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, dict):
        return _write(builder, value)
    if value and isinstance(value[0], dict):
        return _write_tables(builder, value)
    return builder.CreateNumpyVector(np.asarray(value, np.float32))


def _write_tables(builder: flatbuffers.Builder, tables: list[Fields]) -> int:
    places = [_write(builder, table) for table in tables]
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return builder.EndVector()


class Reader:
    """One table of a flatbuffer; a field that is absent reads as empty."""

    def __init__(self, buffer: bytes, position: int) -> None:
        self._table = _Table(bytearray(buffer), position)

    @classmethod
    def root(cls, buffer: bytes) -> Reader:
        """The root table of a flatbuffer."""
        return cls(buffer, flatbuffers.encode.Get(packer.uoffset, buffer, 0))

    def _at(self, slot: int) -> int | None:
        offset = self._table.Offset(4 + 2 * slot)
        return self._table.Pos + offset if offset else None

    def byte(self, slot: int) -> int:
        """An 8-bit field, 0 where it is absent."""
        at = self._at(slot)
        return 0 if at is None else self._table.Get(number_types.Uint8Flags, at)

    def text(self, slot: int) -> str:
        """A string."""
        at = self._at(slot)
        return "" if at is None else self._table.String(at).decode("utf-8")

    def table(self, slot: int) -> Reader | None:
        """A table."""
        at = self._at(slot)
        return None if at is None else Reader(self._table.Bytes, self._table.Indirect(at))

    def tables(self, slot: int) -> list[Reader]:
        """A vector of tables."""
        places = self._places(slot)
        return [Reader(self._table.Bytes, self._table.Indirect(place)) for place in places]

    def floats(self, slot: int) -> tuple[float, ...]:
        """A vector of float32."""
        return tuple(self._table.Get(number_types.Float32Flags, place) for place in self._places(slot))

    def _places(self, slot: int) -> range:
        at = self._at(slot)
        if at is None:
            return range(0)
        # Vector and VectorLen count from the table, not from the buffer.
        offset = at - self._table.Pos
        start = self._table.Vector(offset)
        return range(start, start + 4 * self._table.VectorLen(offset), 4)
