"""Maths of boxes: formats, area, overlap, clipping, and the box around points.

A box is float32 (..., 4), yxyx: top, left, bottom, right in pixels, edges and not centres, so the whole picture is
(0, 0, H, W) and areas need no "+ 1". A row of zeros is padding; every function here leaves it one.
"""

from __future__ import annotations

from typing import Any, Literal

from keras import ops

Tensor = Any
Size = tuple[int, int]
# xyxy: Pascal VOC. xywh: left, top, width, height, COCO. cxcywh: centre and sides, YOLO, here in pixels.
Format = Literal["yxyx", "xyxy", "xywh", "cxcywh"]


def convert(boxes: Tensor, old: Format, new: Format) -> Tensor:
    """The same boxes in another format, float32 (..., 4)."""
    first, second, third, fourth = (boxes[..., k] for k in range(4))
    if old == "yxyx":
        top, left, bottom, right = first, second, third, fourth
    elif old == "xyxy":
        left, top, right, bottom = first, second, third, fourth
    elif old == "xywh":
        left, top, right, bottom = first, second, first + third, second + fourth
    else:
        left, top, right, bottom = first - third / 2, second - fourth / 2, first + third / 2, second + fourth / 2
    width, height = right - left, bottom - top
    columns = {
        "yxyx": (top, left, bottom, right),
        "xyxy": (left, top, right, bottom),
        "xywh": (left, top, width, height),
        "cxcywh": (left + width / 2, top + height / 2, width, height),
    }
    return ops.stack(columns[new], axis=-1)


def sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Height and width, each float32 (...), at least 0."""
    height, width = (ops.maximum(boxes[..., k + 2] - boxes[..., k], 0.0) for k in (0, 1))
    return height, width


def area(boxes: Tensor) -> Tensor:
    """float32 (...), square pixels; 0 where a side is negative."""
    height, width = sides(boxes)
    return height * width


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Area that each box of one set shares with each of the other.

    Args:
        a: float32 (..., N, 4).
        b: float32 (..., M, 4).

    Returns:
        float32 (..., N, M), square pixels.
    """
    a, b = a[..., :, None, :], b[..., None, :, :]
    low, high = ops.maximum(a[..., :2], b[..., :2]), ops.minimum(a[..., 2:], b[..., 2:])
    return area(ops.concatenate([low, high], axis=-1))


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union, float32 (..., N, M) in [0, 1]; 0 where both boxes are empty. Arguments as above."""
    shared = intersection(a, b)
    union = area(a)[..., :, None] + area(b)[..., None, :] - shared
    return ops.where(union > 0, shared / ops.where(union > 0, union, 1.0), 0.0)


def clip(boxes: Tensor, size: Size) -> Tensor:
    """The part of each box that lies in a picture of `size` (height, width)."""
    height, width = size
    return ops.clip(boxes, 0.0, ops.convert_to_tensor([height, width, height, width], "float32"))


def outline(boxes: Tensor, steps: int = 1) -> Tensor:
    """Points along the edges of boxes: the four corners, or more.

    Args:
        boxes: float32 (B, N, 4).
        steps: pieces that an edge is cut into; 1 gives the corners alone.

    Returns:
        float32 (B, N, 4 * steps, 2), yx in pixels.
    """
    along = ops.arange(steps, dtype="float32") / steps
    zero, one = ops.zeros_like(along), ops.ones_like(along)
    down = ops.concatenate([zero, along, one, 1.0 - along])
    right = ops.concatenate([along, one, 1.0 - along, zero])
    top, left, bottom, right_edge = (boxes[..., k : k + 1] for k in range(4))
    # a weighted mean, not a step from one edge, so that the corners are the box's own numbers; rounded, it may lie a
    # last digit beyond them
    y = ops.clip(top * (1 - down) + bottom * down, top, bottom)
    x = ops.clip(left * (1 - right) + right_edge * right, left, right_edge)
    return ops.stack([y, x], axis=-1)


def around(points: Tensor) -> Tensor:
    """The smallest boxes that hold sets of P points, float32 (..., P, 2) -> (..., 4)."""
    return ops.concatenate([ops.min(points, axis=-2), ops.max(points, axis=-2)], axis=-1)
