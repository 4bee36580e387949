"""Maths of boxes: formats, area, overlap, codes relative to anchors, suppression, and the box around points.

A box is float32 (..., 4), yxyx: top, left, bottom, right in pixels, edges and not centres, so the whole picture is
(0, 0, H, W) and areas need no "+ 1". A row of zeros is padding; every function here leaves it one.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from keras import ops

Tensor = Any
Size = tuple[int, int]
# xyxy: Pascal VOC. xywh: left, top, width, height, COCO. cxcywh: centre and sides, YOLO, here in pixels.
Format = Literal["yxyx", "xyxy", "xywh", "cxcywh"]
_TINY = 1e-9  # keeps 0 / 0 a number
_BLOCK = 16  # boxes that are compared with all others at a time


def _ops(*boxes: Tensor) -> Any:
    """NumPy for its own arrays, whose small sums it does in a hundredth of the time, else Keras' ops."""
    return np if all(isinstance(one, np.ndarray) for one in boxes) else ops


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
    height, width = (_ops(boxes).maximum(boxes[..., k + 2] - boxes[..., k], 0.0) for k in (0, 1))
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
    a, b, own = a[..., :, None, :], b[..., None, :, :], _ops(a, b)
    low, high = own.maximum(a[..., :2], b[..., :2]), own.minimum(a[..., 2:], b[..., 2:])
    return area(own.concatenate([low, high], axis=-1))


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union, float32 (..., N, M) in [0, 1]; 0 where both boxes are empty. Arguments as above."""
    shared, own = intersection(a, b), _ops(a, b)
    union = area(a)[..., :, None] + area(b)[..., None, :] - shared
    return own.where(union > 0, shared / own.where(union > 0, union, 1.0), 0.0)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of pairs, float32 (..., 4) twice -> (...) in [0, 1]; 0 where both are empty."""
    return _shares(a, b)[0]


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of pairs, float32 (..., 4) twice -> (...) in (-1, 1]: apart, it tells how far.

    Source: Rezatofighi et al., Generalized Intersection over Union, 2019, algorithm 1.
    """
    shared, union = _shares(a, b)
    hull = area(_hull(a, b))
    return shared - (hull - union) / ops.maximum(hull, _TINY)


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU of pairs, float32 (..., 4) twice -> (...), at most 1: also less for centres and shapes that differ.

    Source: Zheng et al., Distance-IoU Loss, 2020, equations 7 to 11; no gradient goes through their trade-off alpha.
    """
    shared = overlap(a, b)
    height, width = sides(_hull(a, b))
    (y_a, x_a, h_a, w_a), (y_b, x_b, h_b, w_b) = _centred(a), _centred(b)
    apart = ((y_a - y_b) ** 2 + (x_a - x_b) ** 2) / ops.maximum(height**2 + width**2, _TINY)
    shape = (4 / math.pi**2) * (ops.arctan2(w_a, h_a) - ops.arctan2(w_b, h_b)) ** 2
    alpha = ops.stop_gradient(shape / ops.maximum(1.0 - shared + shape, _TINY))
    return shared - apart - alpha * shape


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """What a detector says of boxes: the way from an anchor's centre in its sides, and the logarithm of the growth.

    Args:
        boxes: float32 (..., 4), sides above 0.
        anchors: float32 (..., 4), one for each box, sides above 0.

    Returns:
        float32 (..., 4): y, x, height, width, as TFLite_Detection_PostProcess reads them with scales of 1.

    Source: Girshick et al., Rich feature hierarchies for accurate object detection, 2014, appendix C.
    """
    (y, x, height, width), (y_a, x_a, h_a, w_a) = _centred(boxes), _centred(anchors)
    return ops.stack([(y - y_a) / h_a, (x - x_a) / w_a, ops.log(height / h_a), ops.log(width / w_a)], axis=-1)


def decode(codes: Tensor, anchors: Tensor) -> Tensor:
    """The boxes float32 (..., 4) that codes mean; arguments as `encode` gives and takes them."""
    y_a, x_a, h_a, w_a = _centred(anchors)
    y, x = codes[..., 0] * h_a + y_a, codes[..., 1] * w_a + x_a
    height, width = ops.exp(codes[..., 2]) * h_a, ops.exp(codes[..., 3]) * w_a
    return ops.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=-1)


def suppress(boxes: np.ndarray, scores: np.ndarray, *, threshold: float = 0.5, most: int = 100) -> np.ndarray:
    """Greedy non-maximum suppression: the best box stays, those that overlap it go, and so on.

    Args:
        boxes: float32 (N, 4).
        scores: float32 (N,); of equal ones the first box counts as the better.
        threshold: boxes with a higher IoU than this with a better one go.
        most: boxes that stay at most.

    Returns:
        int64 (M,): indices of those that stay, best first.
    """
    order, kept = np.argsort(-scores, kind="stable"), []
    edges = np.asarray(boxes, np.float32)[order].T  # columns of their own: numbers that are worked on lie together
    while len(order) and len(kept) < most:
        close, gone = _close(edges[:, :_BLOCK], edges, threshold), np.zeros(len(order), bool)
        for i, near in enumerate(close):
            if not gone[i]:
                kept.append(order[i])
                gone |= near
        rest = len(close) + np.flatnonzero(~gone[len(close) :])
        edges, order = edges[:, rest], order[rest]
    return np.array(kept[:most], np.int64)


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


def _shares(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Of pairs: shared area over that of both, and the latter in square pixels."""
    low, high = ops.maximum(a[..., :2], b[..., :2]), ops.minimum(a[..., 2:], b[..., 2:])
    shared = area(ops.concatenate([low, high], axis=-1))
    union = area(a) + area(b) - shared
    return shared / ops.maximum(union, _TINY), union


def _hull(a: Tensor, b: Tensor) -> Tensor:
    """Of pairs: the smallest box that holds both."""
    low, high = ops.minimum(a[..., :2], b[..., :2]), ops.maximum(a[..., 2:], b[..., 2:])
    return ops.concatenate([low, high], axis=-1)


def _centred(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Centre y and x, height and width, each (...)."""
    top, left, bottom, right = (boxes[..., k] for k in range(4))
    return (top + bottom) / 2, (left + right) / 2, bottom - top, right - left


def _close(some: np.ndarray, others: np.ndarray, threshold: float) -> np.ndarray:
    """Edges (4, M) and (4, N) -> bool (M, N): whether their IoU is above a threshold."""
    low, high = np.maximum(some[:2, :, None], others[:2, None]), np.minimum(some[2:, :, None], others[2:, None])
    shared = _product(low, high)
    return shared > threshold * (_product(some[:2], some[2:])[:, None] + _product(others[:2], others[2:]) - shared)


def _product(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Areas between two corners, (2, ...) twice -> (...)."""
    height, width = np.maximum(high - low, 0)
    return height * width
