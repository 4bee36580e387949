"""How good found boxes are: COCO's average precision, by COCO's own code.

Boxes found and boxes that are there have to be in the same pixels, best those of the pictures as they are: what is
small, medium or large is said in them.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tfmap.source import Boxes

# COCO's twelve numbers, by their places in COCOeval.stats
_NUMBERS = {"mAP": 0, "mAP50": 1, "mAP75": 2, "mAP_small": 3, "mAP_medium": 4, "mAP_large": 5, "recall": 8}


class Found(NamedTuple):
    """What was found in a picture, in any order.

    Attributes:
        boxes: float32 (M, 4), yxyx in pixels.
        scores: float32 (M,), 0..1.
        classes: int (M,), in [0, K).
        masks: where pixels were found, too: float32 (M, S, S), 0..1, of each box, cut into S x S parts; or object (M,)
            of COCO's run lengths, in pixels of the picture.
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Found:
        """Those at rows, int (m,) or bool (M,)."""
        return Found(*(None if part is None else part[rows] for part in self))


def score(
    found: Sequence[Found], truths: Boxes, classes: Sequence[str], *, outlines: Sequence[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """COCO's numbers.

    Args:
        found: of N pictures; the best 100 of each count.
        truths: of the same N pictures. A crowd forgives all that lies in it, a difficult one whatever finds it.
        classes: K names.
        outlines: run lengths of each row of the truths: pixels are compared instead of boxes, those found have `masks`
            of run lengths, and sizes are those of the pixels. What has no pixel does not count.

    Returns:
        dict: "mAP" (mean over IoU 0.5 to 0.95 and over the classes that occur), "mAP50", "mAP75", "mAP_small" (below
            32 x 32 pixels), "mAP_medium", "mAP_large" (from 96 x 96), "recall" (of the best 100, over those IoU), and
            "per_class" (a dict of "class", "mAP", "mAP50" and "boxes" each). All in 0..1; None where nothing of that
            kind is there.

    Source: Lin et al., Microsoft COCO, 2014; pycocotools.
    """
    evaluated = _evaluated(found, truths, len(classes), outlines)
    numbers = {name: _known(evaluated.stats[place]) for name, place in _NUMBERS.items()}
    counted = ~_ignored(truths, outlines)
    boxes = np.bincount(truths.classes[counted], minlength=len(classes))
    precision = evaluated.eval["precision"][:, :, :, 0, 2]  # IoU, recall, class; all sizes, 100 boxes
    per_class = [
        {"class": name, "mAP": _mean(precision[:, :, k]), "mAP50": _mean(precision[0, :, k]), "boxes": int(boxes[k])}
        for k, name in enumerate(classes)
    ]
    return {**numbers, "per_class": per_class}


def _ignored(truths: Boxes, outlines: Sequence[dict[str, Any]] | None) -> np.ndarray:
    """bool (M,): what scoring forgives but does not ask for."""
    marked = truths.crowd | truths.difficult
    if outlines is None:
        return marked
    from pycocotools import mask

    return marked | np.array([mask.area(one) == 0 for one in outlines], bool)


def _evaluated(found: Sequence[Found], truths: Boxes, classes: int, outlines: Sequence[dict[str, Any]] | None) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    there = COCO()
    there.dataset = _dataset(truths, len(found), classes, outlines)
    rows = [row for picture, one in enumerate(found, 1) for row in _rows(one, picture)]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress and its table
        there.createIndex()
        said = there.loadRes(rows) if rows else _nothing(there.dataset)
        evaluated = COCOeval(there, said, "bbox" if outlines is None else "segm")
        evaluated.evaluate()
        evaluated.accumulate()
        evaluated.summarize()
    return evaluated


def _dataset(truths: Boxes, pictures: int, classes: int, outlines: Sequence[dict[str, Any]] | None) -> dict[str, list]:
    annotations, forgiven = [], _ignored(truths, outlines)
    for picture in range(pictures):
        for row in range(*truths.rows(picture).indices(len(truths.boxes))):
            about = _coco(truths.boxes[row], picture + 1, truths.classes[row])
            about |= {} if outlines is None else _outlined(outlines[row])
            # A crowd takes any number of boxes; pycocotools forgives by this mark alone.
            annotations.append({**about, "id": len(annotations) + 1, "iscrowd": int(forgiven[row])})
    # It wants sizes for polygons, of which there are none here.
    images = [{"id": picture, "height": 0, "width": 0} for picture in range(1, pictures + 1)]
    categories = [{"id": k} for k in range(1, classes + 1)]
    return {"images": images, "annotations": annotations, "categories": categories, "info": {}}


def _nothing(dataset: dict[str, list]) -> Any:
    from pycocotools.coco import COCO

    empty = COCO()
    empty.dataset = {**dataset, "annotations": []}
    empty.createIndex()
    return empty


def _rows(found: Found, picture: int) -> list[dict[str, Any]]:
    triples = zip(found.boxes, found.scores, found.classes, strict=True)
    rows = [{**_coco(box, picture, kind), "score": float(score)} for box, score, kind in triples]
    if found.masks is None:
        return rows
    # pycocotools takes what has a box for one
    return [{**row, **_outlined(one), "bbox": []} for row, one in zip(rows, found.masks, strict=True)]


def _outlined(outline: dict[str, Any]) -> dict[str, Any]:
    from pycocotools import mask

    return {"segmentation": outline, "area": float(mask.area(outline))}


def _coco(box: np.ndarray, picture: int, kind: int) -> dict[str, Any]:
    top, left, bottom, right = map(float, box)
    height, width = bottom - top, right - left
    bounds = [left, top, width, height]
    return {"image_id": picture, "category_id": int(kind) + 1, "bbox": bounds, "area": height * width}


def _known(number: float) -> float | None:
    """COCO says -1 where there is nothing to find."""
    return None if number < 0 else float(number)


def _mean(precision: np.ndarray) -> float | None:
    there = precision[precision > -1]
    return float(there.mean()) if there.size else None
