"""What Python reads of a split: odd pictures, records, masks; and which pictures are lost."""

from __future__ import annotations

import logging
import weakref

import numpy as np

from tfmap import pixels
from tfmap.errors import InputError
from tfmap.pipeline.records import Shards
from tfmap.source import Skipped, Split

_LOG = logging.getLogger(__name__)
_HOPELESS = 8  # from so many unreadable pictures on, a whole batch of them is an accident, not bad luck

_LOST: dict[int, dict[str, str]] = {}  # id of a split -> id of a picture -> why it could not be read


def lost(split: Split) -> tuple[Skipped, ...]:
    """The pictures that could not be read any more since the split was loaded; they had weight 0."""
    return tuple(Skipped(name, reason) for name, reason in sorted(_losses(split).items()))


class Files:
    """The files of a split.

    Args:
        split: N pictures.
        channels: 1 or 3.
        at_least: (height, width) that a larger JPEG may be shrunk to while it is decoded; None for as it is.
    """

    def __init__(self, split: Split, channels: int, at_least: tuple[int, int] | None) -> None:
        self._split, self._channels, self._at_least = split, channels, at_least
        self._shards, self._lost = Shards(split.shards), _losses(split)

    def records(self, rows: np.ndarray) -> np.ndarray:
        """The encoded pictures of rows (n,), object (n,) of bytes; empty where there is none any more."""
        return np.array(self._shards.read_all(self._split.images[rows]), object)

    def open(self, row: np.ndarray, masked: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """A picture as Pillow reads it.

        Returns:
            uint8 (h, w, C); int32 (), what it was shrunk by; int32 (2,), height and width before that; whether it could
            be read, with its mask if `masked`. What could not is remembered.
        """
        name = self._split.ids[row]
        try:
            stored = self._split.images[row]
            stored = self._shards.read(stored) if self._split.kind == "record" else stored
            image, ratio, whole = _pixels(stored, self._channels, self._at_least)
            if masked:
                self.mask(row, np.array(whole))
            return image, np.int32(ratio), np.array(whole, np.int32), np.True_
        except Exception as error:  # Pillow's plugins raise whatever their parsers stumble over
            reason = getattr(error, "strerror", None) or str(error)
            if name not in self._lost:
                _LOG.warning("%s can no longer be read and does not count: %s", name, reason)
            self._lost[name] = reason
            return np.zeros((1, 1, self._channels), np.uint8), np.int32(1), np.ones(2, np.int32), np.False_

    def stop_if_hopeless(self, ok: np.ndarray) -> np.ndarray:
        """Single lost files are no reason to stop; a lost disk is."""
        whole_batch = len(ok) >= _HOPELESS and not ok.any()
        if whole_batch or 2 * len(self._lost) > len(self._split):
            name, reason = next(iter(self._lost.items()))
            raise InputError(
                f"pipeline: {len(self._lost)} of the {len(self._split)} pictures can no longer be read. The first: "
                f"{name} ({reason}). Were the files moved or changed since the data set was loaded?"
            )
        return ok

    def mask(self, row: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """The mask uint8 (h, w) of a picture whose size is int (2,).

        Raises:
            OSError, ValueError: it cannot be read, or has another size.
        """
        mask = self._split.masks.read(row)
        if mask.shape != tuple(whole):
            raise ValueError(f"its mask is {mask.shape[0]} x {mask.shape[1]}, the picture {whole[0]} x {whole[1]}")
        return mask


def _pixels(
    stored: str | bytes | np.ndarray, channels: int, at_least: tuple[int, int] | None
) -> tuple[np.ndarray, int, tuple[int, int]]:
    """As `pixels.read_reduced`, of pixels too (whose mask failed)."""
    if not isinstance(stored, np.ndarray):
        return pixels.read_reduced(stored, channels, at_least)
    image = np.broadcast_to(stored.mean(-1, keepdims=True), (*stored.shape[:2], channels))
    return image.astype(np.uint8) if stored.shape[-1] != channels else stored, 1, stored.shape[:2]


def _losses(split: Split) -> dict[str, str]:
    if id(split) not in _LOST:
        _LOST[id(split)] = {}
        weakref.finalize(split, _LOST.pop, id(split), None)
    return _LOST[id(split)]
