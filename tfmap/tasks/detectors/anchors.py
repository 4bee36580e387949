"""Anchors: the boxes that a detector's codes start from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Shapes = Sequence[tuple[float, float]]  # (height, width) each, in strides
CELL = ((1.0, 1.0),)


def cells(size: tuple[int, int], strides: Sequence[int]) -> np.ndarray:
    """One square for each place of each map: around its centre, as wide as its stride; see `boxes`."""
    return boxes(size, strides, CELL)


def boxes(size: tuple[int, int], strides: Sequence[int], shapes: Shapes) -> np.ndarray:
    """Boxes of several shapes around the centre of each place of each map.

    Args:
        size: (height, width) of the picture in pixels; where a stride does not divide it, places of the last row or
            column reach beyond the picture.
        strides: of the maps, in their order.
        shapes: (height, width) of each box of a place, in strides.

    Returns:
        float32 (A, 4), yxyx in pixels; map by map, places row by row, and of a place shape by shape.
    """
    return np.concatenate([_around(_centres(size, stride), stride, shapes) for stride in strides])


def shapes(scales: Sequence[float], ratios: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Each scale in each ratio, of equal area.

    Args:
        scales: sides of squares, in strides.
        ratios: height over width.

    Returns:
        (height, width) of each, in strides, scale by scale.
    """
    return tuple((scale * math.sqrt(ratio), scale / math.sqrt(ratio)) for scale in scales for ratio in ratios)


def _centres(size: tuple[int, int], stride: int) -> np.ndarray:
    """(places, 2), yx in pixels."""
    y, x = np.meshgrid(*(np.arange(0, side, stride) for side in size), indexing="ij")
    return np.stack([y, x], axis=-1).reshape(-1, 2) + stride / 2


def _around(centres: np.ndarray, stride: int, shapes: Shapes) -> np.ndarray:
    half = stride * np.asarray(shapes) / 2
    low, high = centres[:, None] - half, centres[:, None] + half
    return np.concatenate([low, high], axis=-1).reshape(-1, 4).astype(np.float32)
