"""Checks of boxes: do they hold something, and does it lie in the picture?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from tfmap.datasets import clean
from tfmap.datasets.survey import Survey
from tfmap.doctor import findings
from tfmap.doctor.findings import Finding, Kind

TINY = 4  # pixels of a side
_SLACK = 1.0  # pixels beyond the edge: tools that count from 1, and rounding
_SAME = 0.95  # overlap (IoU) from which on two boxes are one


def check(survey: Survey, *, aspect: float) -> Iterator[Finding]:
    """Findings about boxes, one per picture and kind.

    Args:
        survey: the pictures; without boxes there is nothing to find.
        aspect: a larger ratio of a box's sides is absurd.
    """
    table = survey.listing.boxes
    if table is None:
        return
    for index, verdict in enumerate(survey.verdicts):
        rows = table.rows(index)
        size = (verdict.height, verdict.width) if not verdict.reason else None
        found = judge(table.boxes[rows], table.classes[rows], size, aspect)
        unknown = np.flatnonzero(~_known(survey, table.classes[rows]))
        for kind, which in {**found, findings.NO_CLASS: unknown.tolist()}.items():
            if which:
                yield _finding(survey, index, kind, sorted(which))
    yield from _balance(survey)
    empty = np.flatnonzero(np.diff(table.starts) == 0)
    if len(empty):
        names = tuple(survey.listing.ids[empty])
        yield Finding(findings.NO_BOXES, f"{len(empty)} pictures have no boxes, such as {names[0]}", names)


def _known(survey: Survey, classes: np.ndarray) -> np.ndarray:
    return (classes >= 0) & (classes < len(survey.listing.classes))


def _balance(survey: Survey) -> Iterator[Finding]:
    classes, drawn = survey.listing.classes, survey.listing.boxes.classes
    counts = np.bincount(drawn[_known(survey, drawn)], minlength=len(classes))
    for index in np.flatnonzero(counts == 0):
        yield Finding(findings.NO_PICTURES, f"class {classes[index]!r} has no box")
    used = np.flatnonzero(counts)
    if len(used) > 1:
        lines = clean.imbalance(counts[used], [classes[index] for index in used], "boxes")
        yield from (Finding(findings.IMBALANCE, line) for line in lines)


def judge(boxes: np.ndarray, classes: np.ndarray, size: tuple[int, int] | None, aspect: float) -> dict[Kind, set[int]]:
    """Kind -> rows of the boxes of one picture that it holds for.

    Args:
        boxes: float32 (n, 4), yxyx in pixels.
        classes: int32 (n,).
        size: (height, width) of the picture, None where it cannot be read.
        aspect: a larger ratio of the sides is absurd.
    """
    boxes = np.asarray(boxes, np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    area = (sides > 0).all(axis=1)
    short, long = sides.min(axis=1, initial=np.inf), sides.max(axis=1, initial=-np.inf)
    tests = {
        findings.NO_AREA: ~area,
        findings.TINY_BOX: area & (short < TINY),
        findings.SLIM_BOX: area & (long > aspect * short),
    }
    if size is not None:
        over = (boxes[:, :2] < -_SLACK).any(axis=1) | (boxes[:, 2:] > np.array(size) + _SLACK).any(axis=1)
        gone = (boxes[:, :2] >= np.array(size)).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
        tests |= {findings.OUTSIDE: area & gone, findings.PARTLY_OUTSIDE: area & over & ~gone}
    found: dict[Kind, set[int]] = defaultdict(set)
    for kind, hit in tests.items():
        found[kind].update(np.flatnonzero(hit).tolist())
    for one, other in np.argwhere(np.triu(_overlap(boxes) >= _SAME, 1) & area[:, None] & area).tolist():
        found[findings.TWICE if classes[one] == classes[other] else findings.TWO_CLASSES].update((one, other))
    return {kind: rows for kind, rows in found.items() if rows}


def _overlap(boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of every two boxes, (n, n); 0 where both are empty."""
    inner = np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - np.maximum(boxes[:, None, :2], boxes[:, :2])
    inner = inner.clip(0).prod(axis=-1)
    area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=-1)
    return inner / np.maximum(area[:, None] + area - inner, 1e-9)


def _finding(survey: Survey, index: int, kind: Kind, rows: list[int]) -> Finding:
    listing, start = survey.listing, survey.listing.boxes.rows(index).start
    boxes = listing.boxes.boxes[[start + row for row in rows]]
    numbers = listing.boxes.classes[[start + row for row in rows]]
    known = _known(survey, numbers)
    named = [listing.classes[k] if there else f"class {k}" for k, there in zip(numbers, known, strict=True)]
    shown = [f"{name} ({', '.join(f'{edge:g}' for edge in box)})" for name, box in zip(named, boxes, strict=True)]
    text = f"{listing.ids[index]}: {'; '.join(shown[:5])}{f' and {len(shown) - 5} more' if len(shown) > 5 else ''}"
    drawable = boxes[np.isfinite(boxes).all(axis=1)]
    return Finding(kind, text, (listing.ids[index],), boxes=tuple(map(tuple, drawable.tolist())))
