"""What a data set is to every later stage: splits of examples with random access by index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tfmap.errors import InputError


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Boxes:
    """The boxes of N pictures in one table; picture i owns the rows from `starts[i]` up to `starts[i + 1]`.

    Attributes:
        starts: int64 (N + 1,), rising from 0 to M.
        boxes: float32 (M, 4), yxyx in pixels of the picture as it stands upright (EXIF orientation applied).
        classes: int32 (M,), in [0, classes).
        crowd: bool (M,): one box around many objects (COCO's iscrowd), which training leaves out and scoring ignores.
        difficult: bool (M,): objects that scoring ignores (VOC's difficult).
    """

    starts: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    crowd: np.ndarray
    difficult: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def rows(self, picture: int) -> slice:
        """The rows of one picture."""
        return slice(int(self.starts[picture]), int(self.starts[picture + 1]))

    def take(self, indices: np.ndarray) -> Boxes:
        """The boxes of the pictures at `indices`, in that order."""
        counts = np.diff(self.starts)[indices]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.repeat(self.starts[:-1][indices] - starts[:-1], counts) + np.arange(starts[-1])
        return Boxes(starts, self.boxes[rows], self.classes[rows], self.crowd[rows], self.difficult[rows])


@dataclass(frozen=True)
class Masks:
    """The masks of N pictures, read one at a time: of classes, or of objects.

    Attributes:
        items: object (N,): whatever `reader` takes, such as the path of a mask file, or polygons.
        reader: item -> uint8 (h, w), of the upright picture's size: class of each pixel, 255 is ignored; of objects 0
            where none is, else 1 + the row of the picture's boxes. A function of a module (or a partial of one), so
            that it can be sent to another process. Raises OSError or ValueError for a mask that cannot be used.
    """

    items: np.ndarray
    reader: Callable[[Any], np.ndarray]

    def __len__(self) -> int:
        return len(self.items)

    def read(self, picture: int) -> np.ndarray:
        """The mask of one picture, uint8 (h, w)."""
        return self.reader(self.items[picture])

    def take(self, indices: np.ndarray) -> Masks:
        """The masks of the pictures at `indices`, in that order."""
        return Masks(self.items[indices], self.reader)


MOST = 254  # objects of a picture that have a number in its mask of objects: the first ones


# Where an encoded picture lies in a file of many: bytes `offset` to `offset + length` of shard number `shard`.
RECORD = np.dtype([("shard", np.int32), ("offset", np.int64), ("length", np.int64)])


@dataclass(frozen=True)
class Split:
    """One part of a data set (train, val or test).

    Attributes:
        kind: "path": `images` holds file paths; "encoded": encoded bytes; "record": places of encoded bytes in
            `shards`; "pixels": raw uint8 pixels.
        images: object (N,) of str or bytes, RECORD (N,), or uint8 (N, H, W, C) with C 1 or 3.
        labels: int32 (N,), in [0, classes), or float32 (N, classes) of 0 and 1 where a picture has several labels. With
            boxes or masks: the classes that occur in the picture.
        ids: object (N,) of str: the source path (or a name) that error lists and reports show.
        odd: bool (N,): pictures that only Pillow decodes rightly (EXIF rotation, CMYK, 16 bits, alpha, WebP, ...).
        boxes: boxes of the N pictures, where the data has them.
        masks: masks of the N pictures, where the data has them; of objects where it has boxes, too.
        shards: paths of the files that a "record" lies in.
    """

    kind: Literal["path", "encoded", "record", "pixels"]
    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    odd: np.ndarray
    boxes: Boxes | None = None
    masks: Masks | None = None
    shards: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> Split:
        """The examples at `indices`, in that order."""
        arrays = (array[indices] for array in (self.images, self.labels, self.ids, self.odd))
        targets = (None if kept is None else kept.take(indices) for kept in (self.boxes, self.masks))
        return Split(self.kind, *arrays, *targets, self.shards)


@dataclass(frozen=True)
class Source:
    """A data set.

    Attributes:
        id: the name it was loaded by, such as "sample:trash" or a folder.
        classes: class names; their order is the order of labels and of the model's outputs.
        splits: name ("train", "val", "test") -> Split.
        multi_label: whether a picture may have several labels.
        target: what the data says about a picture, by its key in a batch.
        skipped: files that were left out.
        findings: kind of finding -> lines, for the report (duplicates, label conflicts, imbalance).
        digest: SHA-256 of what it is made of, see `datasets.fingerprint`; "" where it was not loaded by name.
    """

    id: str
    classes: tuple[str, ...]
    splits: Mapping[str, Split]
    multi_label: bool = False
    target: Literal["label", "boxes", "mask", "instances"] = "label"
    skipped: tuple[Skipped, ...] = ()
    findings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    digest: str = ""

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
