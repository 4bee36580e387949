"""Anchors: the boxes that a detector's codes start from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def cells(size: tuple[int, int], strides: Sequence[int]) -> np.ndarray:
    """One square for each place of each map: around its centre, as wide as its stride.

    Args:
        size: (height, width) of the picture in pixels, multiples of the strides.
        strides: of the maps, in their order.

    Returns:
        float32 (A, 4), yxyx in pixels; places row by row, map by map.
    """
    return np.concatenate([_grid(size, stride) for stride in strides])


def _grid(size: tuple[int, int], stride: int) -> np.ndarray:
    y, x = np.meshgrid(*(np.arange(0, side, stride) for side in size), indexing="ij")
    low = np.stack([y, x], axis=-1).reshape(-1, 2)
    return np.concatenate([low, low + stride], axis=1).astype(np.float32)
