"""The two touches of pixels: a bilinear warp and a colour product, on planes of one channel each.

Milliseconds of core time for a warp and a colour product of uint8 (32, 224, 224, 3): this file under XLA 23; without
the loop over channels 75, because XLA then computes every channel anew for each of the three colours that need it; in
plain graph mode 195; TensorFlow's own ImageProjectiveTransformV3, then the colour product under XLA, 67.
So one path, in keras.ops alone, serves TensorFlow and JAX; `benchmarks/augment.py` measures it again.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def warp(image: Tensor, sources: tuple[Tensor, Tensor], border: float | None = None) -> list[Tensor]:
    """Show each picture through its coordinate map, bilinear.

    Args:
        image: (B, H, W, C) of any dtype.
        sources: `Warp.sources()`: y and x of what each output pixel shows, float32 (B, H, W) in pixels.
        border: value of what lies beyond the picture; None mirrors the picture there (edge pixel repeated).

    Returns:
        C planes float32 (B, H, W).

    No prefilter against aliasing: `rrc` only ever magnifies and `zoom` shrinks at most to a half, where the four
    corners still read every pixel.
    """
    height, width, channels = image.shape[1:]
    y, x = _mirror(sources[0], height), _mirror(sources[1], width)
    own = ops.arange(ops.shape(image)[0], dtype="int32")[:, None, None]
    pixels = ops.reshape(ops.transpose(image, (3, 0, 1, 2)), (channels, -1))
    # A loop is a wall to XLA: nothing in it is computed twice, and y and x enter it as arrays, so that the index and
    # the fraction of a pixel come from the very same number (fused apart, one of them could round to the next pixel).
    shown = ops.map(lambda plane: sample(plane, y, x, own), pixels)
    if border is not None:
        y, x = sources
        shown = ops.where((y >= 0.0) & (y <= height) & (x >= 0.0) & (x <= width), shown, border)
    return [shown[channel] for channel in range(channels)]


def planes(image: Tensor) -> list[Tensor]:
    """(B, H, W, C) -> C planes float32 (B, H, W)."""
    return [ops.cast(image[..., channel], "float32") for channel in range(image.shape[-1])]


def recolour(image: list[Tensor], matrix: Tensor) -> list[Tensor]:
    """One colour map per picture.

    Args:
        image: three planes float32 (B, H, W), values 0..255.
        matrix: float32 (B, 3, 4).

    Returns:
        three planes float32 (B, H, W), unclipped.
    """
    # Three multiply-adds per channel: as a batched matmul of (B, HW, 3) by (B, 3, 3) it is several times slower.
    red, green, blue = image
    entry = [[matrix[:, row, column][:, None, None] for column in range(4)] for row in range(3)]
    return [r * red + g * green + b * blue + offset for r, g, b, offset in entry]


def _mirror(position: Tensor, side: int) -> Tensor:
    wrapped = position - 2.0 * side * ops.floor(position / (2.0 * side))
    return ops.clip(ops.minimum(wrapped, 2.0 * side - wrapped) - 0.5, 0.0, side - 1.0)


def sample(plane: Tensor, y: Tensor, x: Tensor, picture: Tensor) -> Tensor:
    """Bilinear reading of one channel.

    Args:
        plane: (B H W,), of any dtype.
        y, x: float32 (B, H, W), counted from pixel centres, inside the picture.
        picture: int32, of a shape that fits y: the number of the picture that is read.

    Returns:
        float32 (B, H, W).
    """
    height, width = y.shape[1:]
    top, left = ops.floor(y), ops.floor(x)
    down, right = y - top, x - left
    row, column = ops.cast(top, "int32"), ops.cast(left, "int32")
    rows = [(picture * height + line) * width for line in (row, ops.minimum(row + 1, height - 1))]
    columns = [column, ops.minimum(column + 1, width - 1)]
    (a, b), (c, d) = ([ops.cast(ops.take(plane, r + k, axis=0), "float32") for k in columns] for r in rows)
    upper, lower = a + (b - a) * right, c + (d - c) * right
    return upper + (lower - upper) * down
