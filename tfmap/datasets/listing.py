"""What every reader returns: the pictures that a source names, before any was opened."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfmap.errors import InputError
from tfmap.source import Boxes, Masks, Skipped

# what folders and columns call the parts -> our name
PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Listing:
    """The pictures of a source.

    Attributes:
        kind: "path", "encoded", "record" or "pixels", as in `Split`.
        images: object (N,) of str or bytes, RECORD (N,), or uint8 (N, H, W, C).
        labels: int32 (N,), or float32 (N, K) of 0 and 1 where a picture has several labels.
        ids: object (N,) of str.
        parts: object (N,) of "train", "val", "test", or "" where the source does not say.
        classes: class names, in the order of labels.
        skipped: files that the reader already left out.
        boxes: boxes of the N pictures, where the source has them.
        masks: masks of the N pictures, where the source has them.
        shards: paths of the files that a "record" lies in.
        digests: object (N,) of str, for records: what `scan` found when they were prepared.
        sizes: int64 (N, 2), for records: (height, width).
    """

    kind: Literal["path", "encoded", "record", "pixels"]
    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    parts: np.ndarray
    classes: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    boxes: Boxes | None = None
    masks: Masks | None = None
    shards: tuple[str, ...] = ()
    digests: np.ndarray | None = None
    sizes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def multi_label(self) -> bool:
        """Whether a picture may have several labels."""
        return self.labels.ndim == 2


def objects(values: Sequence[str | bytes]) -> np.ndarray:
    """An object array (N,), which keeps bytes with trailing zeros whole (NumPy's own string types cut them)."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def check_classes(classes: Sequence[str], where: str) -> tuple[str, ...]:
    """The class names, if each can be a file name and a line of a label file.

    Raises:
        InputError: a name is empty, looks like a path, or holds a line break or another control character.
    """
    for name in classes:
        bad = not name.strip() or name in (".", "..") or any(sign in name for sign in "/\\")
        if bad or any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in name):
            raise InputError(
                f"datasets: {name!r} cannot be a class name ({where}): class names become file names and lines of "
                "labels.txt, so they may not be empty, look like a path or hold line breaks. Rename the class."
            )
    return tuple(classes)
