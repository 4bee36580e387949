"""Objects with the pixels that are theirs: masks of boxes -> run lengths, and COCO's average precision of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from tfmap import average_precision
from tfmap.average_precision import Found
from tfmap.source import MOST, Boxes

SURE = 0.5  # from which on a pixel belongs to the object


class Truths(NamedTuple):
    """What is in N pictures.

    Attributes:
        boxes: their table.
        masks: uint8 (h, w) of each: 1 + the row of the object among the picture's that a pixel belongs to; 0 for none.
    """

    boxes: Boxes
    masks: Sequence[np.ndarray]

    def of(self, picture: int) -> Found:
        """What is in one picture, as a model would say it."""
        rows = self.boxes.rows(picture)
        many = rows.stop - rows.start
        outlines = np.empty(many, object)
        outlines[:] = [_encoded(self.masks[picture] == number) for number in _numbers(many)]
        return Found(self.boxes.boxes[rows], np.ones(many, np.float32), self.boxes.classes[rows], outlines)


def _numbers(many: int) -> list[int]:
    """What stands for each object in a mask; a value that never occurs for those beyond the last number."""
    return [place + 1 if place < MOST else MOST + 1 for place in range(many)]


def outlined(found: Found, size: tuple[int, int]) -> Found:
    """Masks of boxes -> run lengths in a picture.

    Args:
        found: in its pixels, `masks` float32 (M, S, S).
        size: (height, width) of the picture.
    """
    outlines = np.empty(len(found.scores), object)
    for place, (box, shares) in enumerate(zip(found.boxes, found.masks, strict=True)):
        outlines[place] = _encoded(pasted(shares, box, size))
    return found._replace(masks=outlines)


def pasted(shares: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels of an object.

    Args:
        shares: float32 (S, S), 0..1: how sure each part of the box belongs to it.
        box: float32 (4,), yxyx in pixels.
        size: (height, width) of the picture.

    Returns:
        bool (height, width): those in the box that are at least SURE, bilinear between the parts' centres.
    """
    (rows, down), (columns, across) = (_between(box[axis], box[axis + 2], size[axis], len(shares)) for axis in (0, 1))
    found = np.zeros(size, bool)
    found[rows, columns] = down @ shares @ across.T >= SURE
    return found


def _between(low: float, high: float, side: int, parts: int) -> tuple[slice, np.ndarray]:
    """The pixels of one side whose centres lie in a box, and what each shows of its parts, float32 (n, parts)."""
    first = int(np.clip(np.ceil(low - 0.5), 0, side))
    last = int(np.clip(np.ceil(high - 0.5), first, side))
    centres = np.arange(first, last) + 0.5
    places = np.clip((centres - low) / max(high - low, 1e-6) * parts - 0.5, 0, parts - 1)
    shares = np.maximum(1 - np.abs(places[:, None] - np.arange(parts)), 0)
    return slice(first, last), shares.astype(np.float32)


def _encoded(pixels: np.ndarray) -> dict[str, Any]:
    return coco_mask.encode(np.asfortranarray(pixels, np.uint8))


def pixels(found: Found) -> np.ndarray:
    """How many pixels each object has, int (M,).

    Args:
        found: `masks` of run lengths.
    """
    return np.array([coco_mask.area(one) for one in found.masks], int)


def numbered(found: Found, size: tuple[int, int]) -> np.ndarray:
    """Which object each pixel belongs to, the best one on top: int32 (height, width), 0 for none, else 1 + its place.

    Args:
        found: `masks` of run lengths, best first.
        size: (height, width) of the picture.
    """
    mask = np.zeros(size, np.int32)
    for place in range(len(found.scores) - 1, -1, -1):
        mask[coco_mask.decode(found.masks[place]).astype(bool)] = place + 1
    return mask


def score(found: Sequence[Found], truths: Truths, classes: Sequence[str]) -> dict[str, Any]:
    """COCO's numbers of pixels, and those of boxes beside them.

    Args:
        found: of N pictures, `masks` of run lengths in their pixels.
        truths: of the same pictures.
        classes: K names.

    Returns:
        dict: as `average_precision.score` of the objects' pixels, and "box_mAP" and "box_mAP50". A pixel belongs to one
            object only in the truths; what objects hide of each other is nobody's.
    """
    outlines = [one for picture in range(len(found)) for one in truths.of(picture).masks]
    boxes = average_precision.score([one._replace(masks=None) for one in found], truths.boxes, classes)
    numbers = average_precision.score(found, truths.boxes, classes, outlines=outlines)
    per_class = numbers.pop("per_class")
    return {**numbers, "box_mAP": boxes["mAP"], "box_mAP50": boxes["mAP50"], "per_class": per_class}
