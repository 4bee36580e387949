"""Outlines of objects (polygons, run lengths) -> the mask of a picture."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from tfmap.source import MOST

IGNORED = 255
_FAR = 4.0  # sides of the picture; pycocotools walks along every edge, so that a corner far away would take for ever


class Shapes(NamedTuple):
    """The objects of one picture.

    Attributes:
        height: of the picture that the outlines belong to, in pixels.
        width: likewise.
        orientation: EXIF's number of the turn that brings this picture upright; 1 for none.
        share: whether corners are in shares of the sides instead of pixels.
        objects: (class, outline as `segment` returns it, whether it is a crowd) of each.
    """

    height: int
    width: int
    orientation: int
    share: bool
    objects: tuple[tuple[int, Any, bool], ...]


def segment(written: Any, size: tuple[float, float]) -> list[np.ndarray] | dict[str, Any]:
    """Check an outline as COCO writes it.

    Args:
        written: a list of polygons [x, y, x, y, ...], or run lengths {"size": [h, w], "counts": [...] or text}.
        size: (height, width) of the picture, in the unit of the polygons.

    Returns:
        float64 polygons (n, 2) of x, y with three corners or more; or the run lengths.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(written, dict):
        return _runs(written, size)
    if not isinstance(written, list) or not written:
        raise ValueError("has no outline")
    return [_polygon(corners, size) for corners in written]


def draw(shapes: Shapes) -> np.ndarray:
    """The mask: 0 for background, class + 1 on an object, 255 on a crowd.

    Crowds lie lowest, then large objects, so that a small one on a large one stays visible.

    Returns:
        uint8 (h, w) of the upright picture.
    """
    return _drawn(shapes, [IGNORED if crowd else number + 1 for number, _, crowd in shapes.objects])


def numbered(shapes: Shapes) -> np.ndarray:
    """Which object a pixel belongs to: 0 to none, n + 1 to number n of `shapes.objects`.

    As in `draw`, small objects lie on large ones, all on crowds. There are numbers for the first MOST objects.

    Returns:
        uint8 (h, w) of the upright picture.
    """
    return _drawn(shapes, [place + 1 if place < MOST else 0 for place in range(len(shapes.objects))])


def _drawn(shapes: Shapes, values: list[int]) -> np.ndarray:
    mask = np.zeros((shapes.height, shapes.width), np.uint8)
    encoded = [
        (not crowd, _encode(outline, shapes), value)
        for value, (_, outline, crowd) in zip(values, shapes.objects, strict=True)
    ]
    for _, runs, value in sorted(encoded, key=lambda item: (item[0], -int(coco_mask.area(item[1])))):
        mask[coco_mask.decode(runs).astype(bool)] = value
    return upright(mask, shapes.orientation)


def upright(mask: np.ndarray, orientation: int) -> np.ndarray:
    """Turn a mask of a picture as it is stored the way EXIF turns the picture; only turns that swap the sides."""
    turned = {5: mask.T, 6: np.rot90(mask, -1), 7: np.rot90(mask, 2).T, 8: np.rot90(mask, 1)}.get(orientation, mask)
    return np.ascontiguousarray(turned)


def _polygon(corners: Any, size: tuple[float, float]) -> np.ndarray:
    try:
        polygon = np.array(corners, np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("has an outline that is no list of x and y") from None
    if len(polygon) < 3:
        raise ValueError(f"has an outline of {len(polygon)} corners")
    # `not <=` also catches what is no number
    if not (np.abs(polygon) <= _FAR * max(size)).all():
        raise ValueError("has an outline that lies outside the picture")
    return polygon


def _runs(written: dict[str, Any], size: tuple[float, float]) -> dict[str, Any]:
    sides = [int(size[0]), int(size[1])]
    counts = written.get("counts")
    if written.get("size") != sides:
        raise ValueError(f"has run lengths of size {written.get('size')}, not {sides}")
    lengths = _lengths(counts) if isinstance(counts, str) else counts
    whole = isinstance(lengths, list) and all(type(n) is int and n >= 0 for n in lengths)
    if not whole or sum(lengths) != sides[0] * sides[1]:
        raise ValueError("has run lengths that do not add up to the picture")
    return {"size": sides, "counts": counts}


def _lengths(text: str) -> list[int]:
    """COCO's text of run lengths: 5 bits and a flag a character, from the third on as a difference to the last but one.

    pycocotools does not look where it reads or writes, so that what it gets must add up.
    """
    lengths: list[int] = []
    value = shift = 0
    for sign in text:
        bits = ord(sign) - 48
        if not 0 <= bits < 64 or shift > 30:
            return []
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (1 << shift) if bits & 16 else 0
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return [] if shift else lengths


def _encode(outline: list[np.ndarray] | dict[str, Any], shapes: Shapes) -> dict[str, Any]:
    height, width = shapes.height, shapes.width
    if isinstance(outline, dict):
        packed = isinstance(outline["counts"], str)
        return outline if packed else coco_mask.frPyObjects(outline, height, width)
    scale = (width, height) if shapes.share else (1, 1)
    parts = coco_mask.frPyObjects([(polygon * scale).ravel().tolist() for polygon in outline], height, width)
    return coco_mask.merge(parts)
