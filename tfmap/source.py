"""What a data set is to every later stage: splits of examples with random access by index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tfmap.errors import InputError


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Split:
    """One part of a data set (train, val or test).

    Attributes:
        kind: "path": `images` holds file paths; "encoded": encoded bytes; "pixels": raw uint8 pixels.
        images: object (N,) of str or bytes, or uint8 (N, H, W, C) with C 1 or 3.
        labels: int32 (N,), in [0, classes), or float32 (N, classes) of 0 and 1 where a picture has several labels.
        ids: object (N,) of str: the source path (or a name) that error lists and reports show.
        odd: bool (N,): pictures that only Pillow decodes rightly (EXIF rotation, CMYK, 16 bits, alpha, WebP, ...).
    """

    kind: Literal["path", "encoded", "pixels"]
    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    odd: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> Split:
        """The examples at `indices`, in that order."""
        return Split(self.kind, self.images[indices], self.labels[indices], self.ids[indices], self.odd[indices])


@dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
        id: the name it was loaded by, such as "sample:trash" or a folder.
        classes: class names; their order is the order of labels and of the model's outputs.
        splits: name ("train", "val", "test") -> Split.
        multi_label: whether a picture may have several labels.
        skipped: files that were left out.
        findings: kind of finding -> lines, for the report (duplicates, label conflicts, imbalance).
    """

    id: str
    classes: tuple[str, ...]
    splits: Mapping[str, Split]
    multi_label: bool = False
    skipped: tuple[Skipped, ...] = ()
    findings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(split) for split in self.splits.values())

    def split(self, name: str) -> Split:
        """One split by name.

        Raises:
            InputError: there is no such split.
        """
        if name not in self.splits:
            raise InputError(f"datasets: {self.id} has no split {name!r}. Its splits: {', '.join(self.splits)}.")
        return self.splits[name]
