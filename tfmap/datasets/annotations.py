"""Objects in pictures, collected by a reader of boxes or polygons, picture by picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfmap.datasets.listing import Listing, Target, objects
from tfmap.datasets.polygons import Shapes, draw, numbered
from tfmap.errors import InputError
from tfmap.source import Boxes, Masks, Skipped

BAD = "bad annotation"
UNUSED = "not in the data set"
BACKGROUND = "background"
_LARGEST = 2**31 - 1

Box = tuple[float, float, float, float]  # ymin, xmin, ymax, xmax


class Annotations:
    """Pictures and the objects in them; `add` starts a picture, `box` and `shape` belong to the last one.

    Nothing is judged here but what cannot be written down: `settle` judges boxes once the pictures' sizes are known.
    """

    def __init__(self) -> None:
        self.skipped: list[Skipped] = []
        self.findings: dict[str, list[str]] = defaultdict(list)
        self._paths: list[str] = []
        self._parts: list[str] = []
        self._sizes: list[tuple[int, int]] = []
        self._rows: list[tuple[int, Box, int, bool, bool]] = []
        self._shapes: list[list[tuple[int, Any, bool]]] = []

    def add(self, path: str | Path, part: str, size: tuple[int, int] = (0, 0)) -> None:
        """Start a picture; `size` is (height, width) as its annotation says, zeros where it does not."""
        self._paths.append(str(path))
        self._parts.append(part)
        self._sizes.append(size)
        self._shapes.append([])

    def box(self, box: Box, number: int, *, crowd: bool = False, difficult: bool = False) -> None:
        """An object of the picture: its corners, numbers or not, and the number of its class, known or not."""
        self._rows.append((len(self._paths) - 1, box, min(max(number, -1), _LARGEST), crowd, difficult))

    def shape(self, segment: Any, number: int, *, crowd: bool = False) -> None:
        """An object of the picture by its outline; see `polygons.segment`."""
        self._shapes[-1].append((number, segment, crowd))

    def skip(self, path: str | Path, reason: str) -> None:
        """A file that cannot be used."""
        self.skipped.append(Skipped(str(path), reason))

    def bad(self, where: str, reason: str) -> None:
        """An annotation that is left out."""
        self.findings[BAD].append(f"{where}: {reason}")

    def listing(
        self, classes: Sequence[str], source: Path, *, target: Target = "boxes", unit: Literal["pixels", "share"]
    ) -> Listing:
        """Everything collected: boxes, masks if that is the target, or both of each object if those are instances.

        Raises:
            InputError: no pictures at all, or masks are wanted and no object has an outline.
        """
        if not self._paths:
            first = [f" The first that was left out: {item.path}: {item.reason}." for item in self.skipped[:1]]
            raise InputError(f"datasets: {source} names no pictures.{''.join(first)}")
        names = (BACKGROUND, *classes) if target == "mask" else tuple(classes)
        labels = np.zeros((len(self._paths), len(names)), np.float32)
        drawn = {"mask": draw, "instances": numbered}.get(target)
        if drawn and not any(not crowd for shapes in self._shapes for *_, crowd in shapes):
            raise InputError(f"datasets: {source} has no outlines of objects, so datasets.target cannot be {target}.")
        if target == "mask":
            self._mark(labels)
        paths = objects(self._paths)
        return Listing(
            kind="path",
            images=paths,
            labels=labels,
            ids=paths,
            parts=objects(self._parts),
            classes=names,
            skipped=tuple(self.skipped),
            boxes=None if target == "mask" else self._boxes(),
            masks=Masks(self._items(unit), drawn) if drawn else None,
            sizes=np.array(self._sizes, np.int64),
            unit=unit,
            declared=True,
            findings={kind: tuple(lines) for kind, lines in self.findings.items()},
        )

    def _mark(self, labels: np.ndarray) -> None:
        labels[:, 0] = 1
        for picture, shapes in enumerate(self._shapes):
            labels[picture, [number + 1 for number, _, crowd in shapes if not crowd]] = 1

    def _boxes(self) -> Boxes:
        owners, boxes, classes, crowd, difficult = zip(*self._rows, strict=True) if self._rows else ((),) * 5
        counts = np.bincount(np.array(owners, np.int64), minlength=len(self._paths))
        return Boxes(
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.array(boxes, np.float64).reshape(-1, 4),
            np.array(classes, np.int32),
            np.array(crowd, bool),
            np.array(difficult, bool),
        )

    def _items(self, unit: str) -> np.ndarray:
        rows = zip(self._sizes, self._shapes, strict=True)
        return objects([Shapes(*size, 1, unit == "share", tuple(shapes)) for size, shapes in rows])


def number(value: Any) -> float:
    """A coordinate as it is written; what is no number is NaN, which `settle` reports."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def side(value: Any) -> int:
    """A side of a picture as an annotation declares it; 0 where that says nothing."""
    length = number(value)
    return int(length) if 0 < length < _LARGEST else 0
