"""The framing of a TFRecord file, without TensorFlow: a worker process starts in a tenth of a second, not in four.

A record is its length (uint64), the masked CRC-32C of these eight bytes, the bytes, and their masked CRC-32C, all
little-endian. Source: TensorFlow, tensorflow/core/lib/io/record_writer.h.
"""

from __future__ import annotations

import struct

import numpy as np

HEADER = 12  # bytes before the content
_POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed
# Bytes looked up together. Measured on 58 KB: 128 100 MB/s, 512 410, 1024 and 2048 450 at most, with larger tables.
_BLOCK = 512
_SHORT = 64  # below this the set-up costs more than a loop over the bytes


def frame(content: bytes) -> bytes:
    """One record of a TFRecord file."""
    length = struct.pack("<Q", len(content))
    return b"".join((length, _masked(length), content, _masked(content)))


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli) of some bytes: 0xE3069283 for b"123456789"."""
    if len(data) < _SHORT:
        state = 0xFFFFFFFF
        for byte in data:
            state = _ROWS[0][(state ^ byte) & 0xFF] ^ (state >> 8)
        return state ^ 0xFFFFFFFF
    state = 0
    for block in _blocks(data).tolist():
        state = block ^ _shifted(state)
    return state ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    # Rotated and offset, because the CRC of a text that holds its own CRC is degenerate.
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _blocks(data: bytes) -> np.ndarray:
    """uint32 (n,): what each block adds to the state, from what each of its bytes adds at its distance to the end."""
    padded = np.zeros(-(-len(data) // _BLOCK) * _BLOCK, np.uint8)
    start = len(padded) - len(data)  # zeros before the first byte leave a state of zero as it is
    padded[start:] = np.frombuffer(data, np.uint8)
    padded[start : start + 4] ^= 0xFF  # the same as a state of all ones at the start
    return np.bitwise_xor.reduce(_TABLE.take(padded.reshape(-1, _BLOCK) + _PLACES), axis=1)


def _shifted(state: int) -> int:
    """The state after a block of zeros."""
    a, b, c, d = _ROWS[1:]
    return a[state & 0xFF] ^ b[(state >> 8) & 0xFF] ^ c[(state >> 16) & 0xFF] ^ d[state >> 24]


def _table() -> np.ndarray:
    """uint32 (_BLOCK, 256): what a byte adds, by the number of bytes that follow it."""
    row = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        row = (row >> 1) ^ np.where(row & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    rows = [row]
    for _ in range(_BLOCK - 1):
        rows.append(rows[0][rows[-1] & 0xFF] ^ (rows[-1] >> 8))
    return np.stack(rows)


_BY_DISTANCE = _table()
_TABLE = _BY_DISTANCE[::-1].ravel()  # in the order of the bytes of a block
_PLACES = np.arange(_BLOCK, dtype=np.int32) * 256
_ROWS = [_BY_DISTANCE[distance].tolist() for distance in (0, *range(_BLOCK - 1, _BLOCK - 5, -1))]
