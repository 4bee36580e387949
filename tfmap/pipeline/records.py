"""Encoded pictures inside files of many: one read each, at its place, without parsing what stands around it."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

_OPEN = 128  # files kept open; a data set may have thousands of shards


class Shards:
    """Reads records. A file is opened at the first read from it, in whatever process that happens.

    `pread` moves no shared position, so threads and forked processes may use one descriptor at the same time.

    Args:
        paths: the files; a record's "shard" is an index into them.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = tuple(paths)
        self._open: OrderedDict[int, _File] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, place: np.void) -> bytes:
        """One record.

        Args:
            place: of dtype `tfmap.source.RECORD`.

        Raises:
            OSError: the file is missing, or shorter than it was.
        """
        shard, offset, length = (int(part) for part in place.item())
        data = self._file(shard).read(offset, length)
        if len(data) < length:
            path = self._paths[shard]
            raise OSError(f"{path} ends inside the record of {length} bytes at {offset}; was it written again?")
        return data

    def read_all(self, places: np.ndarray) -> list[bytes]:
        """Many records, RECORD (n,); empty bytes stand for those that cannot be read."""
        return [self._read_or_nothing(place) for place in places]

    def _read_or_nothing(self, place: np.void) -> bytes:
        try:
            return self.read(place)
        except OSError:
            return b""

    def _file(self, shard: int) -> _File:
        with self._lock:
            if shard not in self._open:
                self._open[shard] = _File(self._paths[shard])
            self._open.move_to_end(shard)
            if len(self._open) > _OPEN:
                self._open.popitem(last=False)  # closed once the last thread that reads from it is done
            return self._open[shard]


class _File:
    """A descriptor that is closed when nobody holds it any more."""

    def __init__(self, path: str) -> None:
        self._descriptor = None
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
