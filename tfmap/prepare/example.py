"""A tf.train.Example in bytes, always the same for the same values, and where its pictures lie inside.

Written by hand because a worker then needs no TensorFlow, because protobuf promises no order of a map's entries, and
because the place of a picture inside the bytes is what the index keeps. Source: tensorflow/core/example/feature.proto.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Value = bytes | np.ndarray | Sequence[int]

_BYTES, _FLOATS, _INTS = 1, 2, 3  # numbers of the fields of Feature


def serialise(features: Mapping[str, Value]) -> tuple[bytes, dict[str, int]]:
    """Serialise one example.

    Args:
        features: name -> bytes (a list of one), float32 (n,), or integers.

    Returns:
        the message, its features sorted by name; and the offset in it of every value that is bytes.
    """
    parts, ends, at = [], {}, 0
    for name in sorted(features):
        entry = _field(1, _entry(name, features[name]))
        parts.append(entry)
        at += len(entry)
        ends[name] = at
    head = _head(1, at)
    # Bytes stand last in their entry, so its end tells where they begin.
    offsets = {
        name: len(head) + ends[name] - len(value) for name, value in features.items() if isinstance(value, bytes)
    }
    return b"".join((head, *parts)), offsets


def _entry(name: str, value: Value) -> bytes:
    return _field(1, name.encode()) + _field(2, _feature(value))


def _feature(value: Value) -> bytes:
    if isinstance(value, bytes):
        return _field(_BYTES, _field(1, value))
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return _field(_FLOATS, _field(1, value.astype("<f4").tobytes()))
    return _field(_INTS, _field(1, b"".join(_varint(int(number) & 0xFFFFFFFFFFFFFFFF) for number in value)))


def _field(number: int, content: bytes) -> bytes:
    return _head(number, len(content)) + content


def _head(number: int, length: int) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(length)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
