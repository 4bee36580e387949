"""The two touches of pixels: a bilinear warp and a colour product, on planes of one channel each.

Planes, not (B, H, W, 3): one gather of a plane and the blend of its four corners become one loop under XLA.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def planes(image: Tensor) -> list[Tensor]:
    """(B, H, W, C) -> C tensors (B, H, W)."""
    return [image[..., channel] for channel in range(image.shape[-1])]


def warp(image: list[Tensor], matrix: Tensor) -> list[Tensor]:
    """Show each picture through its coordinate map, bilinear; beyond the border it is mirrored (edge pixel repeated).

    Args:
        image: planes (B, H, W) of any dtype.
        matrix: float32 (B, 3, 3), output point -> input point, see `tfmap.maps`.

    Returns:
        planes float32 (B, H, W).

    No prefilter against aliasing: `rrc` only ever magnifies and `zoom` shrinks at most to a half, where the four
    corners still read every pixel.
    """
    height, width = image[0].shape[1:]
    y, x = _sources(matrix, height, width)
    top, left = ops.floor(y), ops.floor(x)
    down, right = y - top, x - left
    row, column = ops.cast(top, "int32"), ops.cast(left, "int32")
    picture = ops.arange(ops.shape(row)[0], dtype="int32")[:, None, None] * height
    rows = [(picture + line) * width for line in (row, ops.minimum(row + 1, height - 1))]
    columns = [column, ops.minimum(column + 1, width - 1)]
    corners = [start + offset for start in rows for offset in columns]
    return [_blend([_gather(plane, corner) for corner in corners], down, right) for plane in image]


def recolour(image: list[Tensor], matrix: Tensor) -> list[Tensor]:
    """One colour map per picture.

    Args:
        image: three planes (B, H, W), values 0..255.
        matrix: float32 (B, 3, 4).

    Returns:
        three planes float32 (B, H, W), unclipped.
    """
    # Three multiply-adds per channel: as a batched matmul of (B, HW, 3) by (B, 3, 3) it is several times slower.
    red, green, blue = (ops.cast(plane, "float32") for plane in image)
    entry = [[matrix[:, row, column][:, None, None] for column in range(4)] for row in range(3)]
    return [r * red + g * green + b * blue + offset for r, g, b, offset in entry]


def _sources(matrix: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where each output pixel reads: row and column as float32 (B, H, W), counted from pixel centres, mirrored."""
    y = (ops.arange(height, dtype="float32") + 0.5)[:, None]
    x = (ops.arange(width, dtype="float32") + 0.5)[None, :]
    entry = [[matrix[:, row, column][:, None, None] for column in range(3)] for row in range(2)]
    rows, columns = (along_y * y + along_x * x + offset for along_y, along_x, offset in entry)
    return _mirror(rows, height), _mirror(columns, width)


def _mirror(position: Tensor, side: int) -> Tensor:
    wrapped = position - 2.0 * side * ops.floor(position / (2.0 * side))
    return ops.clip(ops.minimum(wrapped, 2.0 * side - wrapped) - 0.5, 0.0, side - 1.0)


def _gather(plane: Tensor, index: Tensor) -> Tensor:
    return ops.cast(ops.take(ops.reshape(plane, (-1,)), index, axis=0), "float32")


def _blend(corners: list[Tensor], down: Tensor, right: Tensor) -> Tensor:
    upper = corners[0] + (corners[1] - corners[0]) * right
    lower = corners[2] + (corners[3] - corners[2]) * right
    return upper + (lower - upper) * down
