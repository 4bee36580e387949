"""Ops that see a pixel's neighbours: (planes, strength) -> planes, float32 (B, C, H, W), values 0..255.

`strength` is float32 (B,), what the op of the same name drew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

Tensor = Any

# JPEG, ITU T.81 annex K: steps of quality 50 for luma and chroma
_LUMA = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
_CHROMA = [
    [17, 18, 24, 47, 99, 99, 99, 99],
    [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99],
    [47, 66, 99, 99, 99, 99, 99, 99],
    *[[99] * 8] * 4,
]
_BLOCK = 8
_ROW = np.arange(_BLOCK)
# The orthonormal cosine transform of eight samples, and JFIF's RGB -> YCbCr
_NORMS = np.where(_ROW, 0.5, 0.125**0.5)[:, None]
_COSINES = (_NORMS * np.cos(np.pi * _ROW[:, None] * (2 * _ROW + 1) / 16)).astype("float32")
_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], "float32")


def sharpness(planes: Tensor, factor: Tensor) -> Tensor:
    """Blend with the smoothed picture: 0 is smooth, 1 changes nothing.

    Source: PIL.ImageEnhance.Sharpness; its kernel is (1 1 1, 1 5 1, 1 1 1) / 13, and the border stays.
    """
    rows = planes + sum(_neighbours(planes, 2))
    smooth = (rows + sum(_neighbours(rows, 3)) + 4.0 * planes) / 13.0
    inside = np.pad(np.ones([max(side - 2, 0) for side in planes.shape[2:]], "float32"), 1)
    inside = inside[: planes.shape[2], : planes.shape[3]]
    # of uint8 pictures Pillow rounds the smoothed one; a blend of unrounded ones differs by at most one grey value
    return ops.clip(planes + inside * (1.0 - factor)[:, None, None, None] * (smooth - planes), 0.0, 255.0)


def blur(planes: Tensor, sigma: Tensor) -> Tensor:
    """Convolve with a Gaussian; beyond the border the picture is mirrored."""
    height, width = planes.shape[2:]
    rows, columns = _gaussians(sigma, height), _gaussians(sigma, width)
    return ops.matmul(ops.matmul(rows[:, None], planes), ops.transpose(columns, (0, 2, 1))[:, None])


def _gaussians(sigma: Tensor, side: int) -> Tensor:
    """float32 (B, side, side): the matrix that blurs along one side, mirrored at its ends.

    A matrix product does any width of blur at any size of picture.
    """
    position = np.arange(side, dtype="float32")
    distance = position[:, None] - position
    # a mirrored neighbour adds to the weight of the pixel that it mirrors
    mirrored = position[:, None] + position + 1.0
    narrow = 0.5 / ops.maximum(sigma, 0.05)[:, None, None] ** 2
    weights = sum(ops.exp(-narrow * away**2) for away in (distance, mirrored, 2.0 * side - mirrored))
    return weights / ops.sum(weights, axis=-1, keepdims=True)


def jpeg(planes: Tensor, quality: Tensor) -> Tensor:
    """Lose what JPEG loses: steps of 8 x 8 cosine transforms, chroma at half the size."""
    height, width = planes.shape[2:]
    scale = ops.where(quality < 50.0, ops.floor(5000.0 / quality), 200.0 - 2.0 * quality)
    padded = _padded(planes, 2 * _BLOCK)
    if planes.shape[1] != 3:
        return ops.clip(_blocks(padded - 128.0, _LUMA, scale) + 128.0, 0.0, 255.0)[:, :, :height, :width]
    luma, *chroma = (_weighted(padded, row) for row in _YCBCR)
    halves = _halved(ops.concatenate(chroma, axis=1))
    luma = _blocks(luma - 128.0, _LUMA, scale) + 128.0
    lost = ops.concatenate([luma, _doubled(_blocks(halves, _CHROMA, scale))], axis=1)
    back = np.linalg.inv(_YCBCR.astype("float64")).astype("float32")
    coloured = ops.concatenate([_weighted(lost, row) for row in back], axis=1)
    return ops.clip(coloured, 0.0, 255.0)[:, :, :height, :width]


def _padded(planes: Tensor, block: int) -> Tensor:
    """The picture with its last row and column repeated up to whole blocks."""
    for axis in (2, 3):
        side = planes.shape[axis]
        if side % block:
            planes = ops.take(planes, np.minimum(np.arange(side + -side % block), side - 1), axis=axis)
    return planes


def _weighted(planes: Tensor, weights: np.ndarray) -> Tensor:
    """(B, 3, H, W) -> (B, 1, H, W)."""
    return sum(float(weight) * planes[:, channel : channel + 1] for channel, weight in enumerate(weights))


def _halved(planes: Tensor) -> Tensor:
    rows = planes[:, :, ::2] + planes[:, :, 1::2]
    return (rows[..., ::2] + rows[..., 1::2]) / 4.0


def _doubled(planes: Tensor) -> Tensor:
    """Twice the size, as libjpeg does by default: three quarters of the nearest, a quarter of the next."""
    before, after = _neighbours(planes, 2)
    rows = ops.stack([3.0 * planes + before, 3.0 * planes + after], axis=3) / 4.0
    tall = ops.reshape(rows, (-1, planes.shape[1], 2 * planes.shape[2], planes.shape[3]))
    before, after = _neighbours(tall, 3)
    columns = ops.stack([3.0 * tall + before, 3.0 * tall + after], axis=4) / 4.0
    return ops.reshape(columns, (-1, tall.shape[1], tall.shape[2], 2 * tall.shape[3]))


def _neighbours(planes: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The pixel before and the pixel after each one; the border is its own neighbour."""
    place = np.arange(planes.shape[axis])
    before, after = np.maximum(place - 1, 0), np.minimum(place + 1, len(place) - 1)
    return ops.take(planes, before, axis=axis), ops.take(planes, after, axis=axis)


def _blocks(planes: Tensor, table: list[list[int]], scale: Tensor) -> Tensor:
    """Round the cosine transform of every 8 x 8 block to multiples of its step."""
    step = ops.clip(ops.floor((np.array(table, "float32") * scale[:, None, None] + 50.0) / 100.0), 1.0, 255.0)
    step = step[:, None, None, :, None, :]
    _, channels, height, width = planes.shape
    blocks = ops.reshape(planes, (-1, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK))
    waves = ops.einsum("ui,bcyixj,vj->bcyuxv", _COSINES, blocks, _COSINES)
    # flat blocks meet halves exactly: a little more than a half up, so that every backend rounds them alike
    kept = ops.floor(waves / step + 0.501) * step
    return ops.reshape(ops.einsum("ui,bcyuxv,vj->bcyixj", _COSINES, kept, _COSINES), (-1, channels, height, width))


FILTERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    function.__name__: function for function in (sharpness, blur, jpeg)
}
