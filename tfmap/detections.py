"""Found boxes one by one against those that are there: curves over the threshold, confusion, the worst pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfmap import boxes as geometry
from tfmap.average_precision import Found
from tfmap.curves import thin
from tfmap.source import Boxes

OVERLAP = 0.5  # IoU from which on a box has found an object
NOTHING, FORGIVEN = -1, -2
MOST = 100  # pictures listed
_STEPS = 101  # of the threshold


class Judged(NamedTuple):
    """What became of the found boxes of all pictures, M in all.

    Attributes:
        pictures: int (M,), which one each lies in.
        scores: float32 (M,).
        classes: int (M,).
        truths: int (M,): the row of the object that it has found, NOTHING, or FORGIVEN for one that does not count.
        boxes: float32 (M, 4).
    """

    pictures: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    truths: np.ndarray
    boxes: np.ndarray


def judge(found: Sequence[Found], truths: Boxes, *, across: bool = False, threshold: float = 0.0) -> Judged:
    """Give each object the surest box that lies on it, and only that one.

    Args:
        found: of N pictures.
        truths: of the same pictures; whatever lies on a crowd or on a difficult one is forgiven.
        across: whether a box that finds no object of its class may find one of another class.
        threshold: least score of a box that counts.
    """
    parts = [Judged(*(np.zeros(0, int) for _ in range(4)), np.zeros((0, 4), np.float32))]
    for picture, one in enumerate(found):
        kept = np.nonzero(one.scores >= threshold)[0]
        kept = kept[np.argsort(-one.scores[kept], kind="stable")]
        rows = np.arange(len(truths.boxes))[truths.rows(picture)]
        matched = _matched(one.boxes[kept], one.classes[kept], truths, rows, across)
        parts.append(Judged(np.full(len(kept), picture), one.scores[kept], one.classes[kept], matched, one.boxes[kept]))
    return Judged(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _matched(boxes: np.ndarray, classes: np.ndarray, truths: Boxes, rows: np.ndarray, across: bool) -> np.ndarray:
    """int (M,): of boxes, surest first, the rows that they find."""
    matched = np.full(len(boxes), NOTHING)
    if not len(boxes) or not len(rows):
        return matched
    overlap = np.asarray(geometry.iou(boxes, truths.boxes[rows]))
    same = classes[:, None] == truths.classes[rows]
    counts = ~(truths.crowd | truths.difficult)[rows]
    free = counts.copy()
    for allowed in (same, ~same) if across else (same,):
        for place in np.nonzero(matched == NOTHING)[0]:
            best = _best(overlap[place], allowed[place] & free)
            if best is not None:
                matched[place], free[best] = rows[best], False
            elif _best(overlap[place], ~counts) is not None:
                matched[place] = FORGIVEN
    return matched


def _best(overlap: np.ndarray, allowed: np.ndarray) -> int | None:
    offers = np.where(allowed, overlap, 0.0)
    best = int(np.argmax(offers))
    return best if offers[best] >= OVERLAP else None


def curves(found: Sequence[Found], truths: Boxes, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class while the threshold falls.

    Args:
        found: of N pictures.
        truths: of the same pictures.
        classes: K names.

    Returns:
        list: one dict per class: "class", "average_precision" (all points; None where no object is), "recall" and
            "precision" (lists, from the surest box on; empty where no object is), "f1" (at thresholds 0, 0.01 ... 1).

    Source: Everingham et al., The Pascal Visual Object Classes Challenge, 2010, section 4.2.
    """
    every = judge(found, truths)
    there = objects(truths, len(classes))
    return [_curve(name, every, k, there[k]) for k, name in enumerate(classes)]


def objects(truths: Boxes, classes: int) -> np.ndarray:
    """int (K,): how many of each class there are that count."""
    return np.bincount(truths.classes[~(truths.crowd | truths.difficult)], minlength=classes)


def _curve(name: str, every: Judged, kind: int, there: int) -> dict[str, Any]:
    mine = (every.classes == kind) & (every.truths != FORGIVEN)
    order = np.argsort(-every.scores[mine], kind="stable")
    scores, right = every.scores[mine][order], every.truths[mine][order] >= 0
    hits, said = np.cumsum(right), np.arange(1, len(right) + 1)
    recall, precision = hits / max(there, 1), hits / said
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    area = float(np.sum(envelope * np.diff(recall, prepend=0.0)))
    count = np.searchsorted(-scores, -np.linspace(0, 1, _STEPS), side="right")  # boxes at or above each threshold
    f1 = 2 * np.concatenate([[0], hits])[count] / np.maximum(count + there, 1)
    return {
        "class": name,
        "average_precision": area if there else None,
        "recall": thin(recall) if there else [],
        "precision": thin(precision) if there else [],
        "f1": thin(f1) if there else [],
    }


def best_threshold(curves: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """The threshold with the highest mean F1 of the classes that are there, the highest of equals, and that F1.

    (0.5, 0) where nothing is there.

    Args:
        curves: what `curves` returns.
    """
    rows = [row["f1"] for row in curves if row["f1"]]
    if not rows:
        return 0.5, 0.0
    mean = np.mean(rows, axis=0)
    best = len(mean) - 1 - int(np.argmax(mean[::-1]))
    return best / (_STEPS - 1), float(mean[best])


def confusion(found: Sequence[Found], truths: Boxes, classes: int, threshold: float) -> np.ndarray:
    """Which class is taken for which, and what for nothing.

    Args:
        found: of N pictures.
        truths: of the same pictures.
        classes: K.
        threshold: least score of a box.

    Returns:
        int64 (K + 1, K + 1): objects by class (rows; the last: none there) and by what was said of them (columns; the
            last: nothing).
    """
    every = judge(found, truths, across=True, threshold=threshold)
    counted = every.truths != FORGIVEN
    hit = every.truths >= 0
    rows = np.where(hit, truths.classes[every.truths * hit] if len(truths.classes) else 0, classes)[counted]
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    np.add.at(counts, (rows, every.classes[counted]), 1)
    counts[:classes, classes] = objects(truths, classes) - counts[:classes, :classes].sum(axis=1)
    return counts


def worst(
    found: Sequence[Found], truths: Boxes, ids: Sequence[str], classes: Sequence[str], threshold: float
) -> list[dict[str, Any]]:
    """The pictures with the most misses and the surest false alarms.

    Args:
        found: of N pictures.
        truths: of the same pictures.
        ids: N source paths.
        classes: K names.
        threshold: least score of a box.

    Returns:
        list: dicts of "id", "missed" (dicts of "class" and "box", yxyx in pixels), "false_alarms" (the same with
            "score") and "score": a point for each miss and each false alarm's score. Largest score first, ties by id;
            pictures without either are left out.
    """
    every = judge(found, truths, threshold=threshold)
    counts = ~(truths.crowd | truths.difficult)
    counts[every.truths[every.truths >= 0]] = False  # what is left was missed
    rows = [_faults(picture, every, truths, counts, classes) for picture in range(len(found))]
    rows = [{"id": str(name), **row} for name, row in zip(ids, rows, strict=True) if row["score"]]
    return sorted(rows, key=lambda row: (-row["score"], row["id"]))[:MOST]


def _faults(picture: int, every: Judged, truths: Boxes, missed: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    rows = np.arange(len(truths.boxes))[truths.rows(picture)]
    lost = [{"class": classes[truths.classes[i]], "box": _rounded(truths.boxes[i])} for i in rows[missed[rows]]]
    wrong = np.nonzero((every.pictures == picture) & (every.truths == NOTHING))[0]
    alarms = [
        {"class": classes[every.classes[i]], "box": _rounded(every.boxes[i]), "score": round(float(every.scores[i]), 4)}
        for i in wrong
    ]
    score = len(lost) + sum(alarm["score"] for alarm in alarms)
    return {"missed": lost, "false_alarms": alarms, "score": round(score, 4)}


def _rounded(box: np.ndarray) -> list[float]:
    return [round(float(edge), 1) for edge in box]
