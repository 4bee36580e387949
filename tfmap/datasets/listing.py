"""What every reader returns: the pictures that a source names, before any was opened."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

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

Target = Literal["label", "boxes", "mask", "instances"]


@dataclass(frozen=True)
class Listing:
    """The pictures of a source.

    Attributes:
        kind: "path", "encoded", "record" or "pixels", as in `Split`.
        images: object (N,) of str or bytes, RECORD (N,), or uint8 (N, H, W, C).
        labels: int32 (N,), or float32 (N, K) of 0 and 1 where a picture has several labels. With boxes or masks zeros
            (N, K): `annotations` fills them once the pictures' sizes are known.
        ids: object (N,) of str.
        parts: object (N,) of "train", "val", "test", or "" where the source does not say.
        classes: class names, in the order of labels.
        skipped: files that the reader already left out.
        boxes: as they are written, not yet checked: float64, in the `unit` of the annotation, classes in any range.
        masks: as in `Split`; with boxes beside them, of objects.
        sizes: int64 (N, 2), (height, width) of the picture by its annotation, or by the index of records; 0 where
            it does not say.
        unit: whether a box is in pixels or in shares of the picture's sides.
        declared: whether the source names its classes apart from the pictures, so that some may have none.
        findings: kind of finding -> lines.
        shards: paths of the files that a "record" lies in.
        faults: what makes `load` refuse the source although its pictures can be listed, such as an empty class folder.
        digests: object (N,) of str, for records: what `scan` found when they were prepared.
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
    sizes: np.ndarray | None = None
    unit: Literal["pixels", "share"] = "pixels"
    declared: bool = False
    findings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    digests: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def multi_label(self) -> bool:
        """Whether a picture may have several labels."""
        return self.labels.ndim == 2

    @property
    def target(self) -> Target:
        """What it says about a picture."""
        if self.boxes is not None:
            return "boxes" if self.masks is None else "instances"
        return "label" if self.masks is None else "mask"

    def take(self, indices: np.ndarray) -> Listing:
        """The pictures at `indices`, in that order."""
        own = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        arrays = {name: value[indices] for name, value in own.items() if isinstance(value, np.ndarray)}
        targets = {name: value.take(indices) for name, value in own.items() if isinstance(value, Boxes | Masks)}
        return replace(self, **arrays, **targets)


def objects(values: Sequence[Any]) -> np.ndarray:
    """An object array (N,), which keeps bytes with trailing zeros whole (NumPy's own string types cut them)."""
    array = np.empty(len(values), object)
    for index, value in enumerate(values):  # not array[:] = values, which would spread a list of tuples
        array[index] = value
    return array


def is_class(name: str) -> bool:
    """Whether a name can be a file name and a line of a label file."""
    bad = not name.strip() or name in (".", "..") or any(sign in name for sign in "/\\")
    return not bad and not any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in name)


def check_classes(classes: Sequence[str], where: str) -> tuple[str, ...]:
    """The class names, if each can be a file name and a line of a label file.

    Raises:
        InputError: a name is empty, looks like a path, or holds a line break or another control character.
    """
    for name in classes:
        if not is_class(name):
            raise InputError(
                f"datasets: {name!r} cannot be a class name ({where}): class names become file names and lines of "
                "labels.txt, so they may not be empty, look like a path or hold line breaks. Rename the class."
            )
    return tuple(classes)


def distinct_classes(classes: Sequence[str], where: str) -> tuple[str, ...]:
    """The class names, if `check_classes` takes them and none stands twice.

    Raises:
        InputError: a name cannot be a class, or stands twice.
    """
    for name, count in Counter(classes).items():
        if count > 1:
            raise InputError(f"datasets: the class {name!r} stands twice ({where}). Rename one.")
    return check_classes(classes, where)
