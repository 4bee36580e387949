"""The algebra of pictures: 3x3 coordinate maps and 3x4 colour maps, composed before a pixel is touched.

Coordinates. A map is float32 (B, 3, 3), one matrix per picture, on column vectors (y, x, 1) in pixels; it leads from a
point of the OUTPUT picture to the point of the INPUT picture that is shown there. Only `perspective` has another last
row than (0, 0, 1), and then the product must be divided by its third number. Pixel (row i, column j) covers
[i, i+1) x [j, j+1): its centre is (i + 0.5, j + 0.5), the picture is [0, H] x [0, W], and boxes need no half pixels.

Colours. A map is float32 (B, 3, 4): out = map[:, :, :3] @ (red, green, blue) + map[:, :, 3], values 0..255, unclipped.

`size` is (height, width) in pixels; every other argument is float32 (B,) unless its line says otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

Tensor = Any
Size = tuple[int, int]

# Rec. 601 luma, the grey of Pillow's "L" and of JPEG
LUMA = np.array([0.299, 0.587, 0.114], "float32")
# Least depth of a point, where the centre of the picture has 1; `perspective` ops stay above 0.28 inside the picture.
_NEAREST = 0.05
# NTSC: RGB -> (luma, in-phase, quadrature)
_YIQ = np.array([LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def identity(count: int) -> Tensor:
    """The map that leaves `count` pictures as they are, float32 (count, 3, 3)."""
    return ops.tile(ops.eye(3)[None], (count, 1, 1))


def flip(rows: Tensor, columns: Tensor, size: Size) -> Tensor:
    """Mirror top to bottom where `rows`, left to right where `columns` (both bool (B,))."""
    y, x = (1.0 - 2.0 * ops.cast(mirror, "float32") for mirror in (rows, columns))
    return _about_centre(y, 0.0 * y, 0.0 * y, x, size)


def rotation(angle: Tensor, size: Size) -> Tensor:
    """Turn about the centre by `angle` radians, counter-clockwise for the viewer."""
    cos, sin = ops.cos(angle), ops.sin(angle)
    return _about_centre(cos, sin, -sin, cos, size)


def quarter_turn(quarters: Tensor, size: Size) -> Tensor:
    """Turn by `quarters` (0 to 3) times 90 degrees, counter-clockwise for the viewer; no sine is rounded.

    A picture that is no square is stretched to its own frame.
    """
    turned = [ops.cast(ops.equal(quarters, number), "float32") for number in range(4)]
    cos, sin = turned[0] - turned[2], turned[1] - turned[3]
    return _about_centre(cos, sin * (size[0] / size[1]), -sin * (size[1] / size[0]), cos, size)


def zoom(factor: Tensor, size: Size) -> Tensor:
    """Magnify about the centre: 2 shows everything twice as large, 0.5 half as large."""
    return _about_centre(1.0 / factor, 0.0 * factor, 0.0 * factor, 1.0 / factor, size)


def shear(along_y: Tensor, along_x: Tensor, size: Size) -> Tensor:
    """Slant about the centre by angles in radians, along x and then along y; areas stay."""
    y, x = ops.tan(along_y), ops.tan(along_x)
    return _about_centre(1.0 + y * x, y, x, ops.ones_like(y), size)


def shift(down: Tensor, right: Tensor) -> Tensor:
    """Move the picture by pixels, down and to the right."""
    one, zero = ops.ones_like(down), ops.zeros_like(down)
    return _matrix([[one, zero, -down], [zero, one, -right], [zero, zero, one]])


def crop_resize(top: Tensor, left: Tensor, height: Tensor, width: Tensor, size: Size) -> Tensor:
    """Stretch the rectangle that starts at (top, left), all in pixels, over the whole picture."""
    one, zero = ops.ones_like(top), ops.zeros_like(top)
    return _matrix([[height / size[0], zero, top], [zero, width / size[1], left], [zero, zero, one]])


def perspective(inwards: Tensor, size: Size) -> Tensor:
    """Show the whole picture in a quadrilateral, as a plane that is seen aslant.

    Args:
        inwards: float32 (B, 4, 2), in [0, 0.5): how far each corner moves inwards along y and x, as a share of the
            side, in the order top left, top right, bottom right, bottom left.
        size: (height, width).

    Returns:
        float32 (B, 3, 3), scaled so that the third number is 1 at the picture's centre.

    Source: Heckbert, Fundamentals of texture mapping and image warping, 1989, section 2.2.3: the unit square onto a
    quadrilateral in closed form. XLA turns a linear solver into loops.
    """
    far = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], "float32")
    corners = (far + (1 - 2 * far) * inwards) * np.array(size, "float32")
    (a, b), (c, d), (e, f), (g, h) = ((corners[:, k, 0], corners[:, k, 1]) for k in range(4))  # y, x of each
    down, right = a - c + e - g, b - d + f - h
    one, other = (c - e, d - f), (g - e, h - f)
    area = one[0] * other[1] - other[0] * one[1]
    along_x = (down * other[1] - other[0] * right) / area
    along_y = (one[0] * right - down * one[1]) / area
    # columns: the picture's y, its x, 1
    rows = [
        [g - a + along_y * g, c - a + along_x * c, a],
        [h - b + along_y * h, d - b + along_x * d, b],
        [along_y, along_x, ops.ones_like(a)],
    ]
    onto = _matrix(rows) / np.array([*size, 1], "float32")
    matrix = invert(onto)
    middle = matrix[:, 2, 0] * (size[0] / 2) + matrix[:, 2, 1] * (size[1] / 2) + matrix[:, 2, 2]
    return matrix / middle[:, None, None]


def compose(first: Tensor, second: Tensor) -> Tensor:
    """The one map that shows what `first` and then `second` would show."""
    return _product(first, second)


def invert(matrix: Tensor) -> Tensor:
    """The map back, in closed form: XLA turns a general inverse of a 3x3 matrix into loops."""
    a, b, c = (matrix[:, :, column] for column in range(3))
    rows = ops.stack([ops.cross(b, c), ops.cross(c, a), ops.cross(a, b)], axis=1)
    return rows / ops.sum(a * rows[:, 0], axis=-1)[:, None, None]


def apply_to_points(matrix: Tensor, points: Tensor) -> Tensor:
    """Move points by a map.

    Args:
        matrix: float32 (B, 3, 3). It leads from output to input; `invert` it to see where a point of the input went.
        points: float32 (B, N, 2), yx in pixels.

    Returns:
        float32 (B, N, 2), yx in pixels.
    """
    y, x = points[..., 0], points[..., 1]
    moved = [_entry(matrix, row, 0) * y + _entry(matrix, row, 1) * x + _entry(matrix, row, 2) for row in range(3)]
    return ops.stack(moved[:2], axis=-1) / in_front(moved[2])[..., None]


def in_front(depth: Tensor) -> Tensor:
    """The third number of a moved point, kept positive.

    It is positive wherever the picture itself is seen. A map that looks far beyond the border, a shift over a
    perspective for example, may reach the horizon; what lies there stays far away instead of coming back mirrored.
    """
    return ops.maximum(depth, _NEAREST)


def colour_identity(count: int) -> Tensor:
    """The colour map that leaves `count` pictures as they are, float32 (count, 3, 4)."""
    return ops.tile(ops.eye(3, 4)[None], (count, 1, 1))


def brightness(factor: Tensor) -> Tensor:
    """Multiply every value: 0 is black, 1 changes nothing."""
    return _colour(factor[:, None, None] * np.eye(3, dtype="float32"), 0.0 * factor)


def contrast(factor: Tensor, pivot: Tensor) -> Tensor:
    """Stretch every value away from `pivot` (0..255): 0 leaves the pivot alone, 1 changes nothing."""
    return _colour(factor[:, None, None] * np.eye(3, dtype="float32"), (1.0 - factor) * pivot)


def saturation(factor: Tensor) -> Tensor:
    """Stretch every colour away from its own grey: 0 is greyscale, 1 changes nothing."""
    factor = factor[:, None, None]
    return _colour(factor * np.eye(3, dtype="float32") + (1.0 - factor) * LUMA, 0.0 * factor[:, 0, 0])


def hue(angle: Tensor) -> Tensor:
    """Turn colours about the grey axis by `angle` radians: a turn of YIQ's chroma plane, so luma and greys stay."""
    back = np.linalg.inv(_YIQ)
    keep, cos, sin = (
        (back @ np.array(chroma) @ _YIQ).astype("float32")
        for chroma in (np.diag([1, 0, 0]), np.diag([0, 1, 1]), [[0, 0, 0], [0, 0, -1], [0, 1, 0]])
    )
    angle = angle[:, None, None]
    return _colour(keep + ops.cos(angle) * cos + ops.sin(angle) * sin, 0.0 * angle[:, 0, 0])


def compose_colours(first: Tensor, second: Tensor) -> Tensor:
    """The one colour map that does what `first` and then `second` do, without a clip in between."""
    linear = _product(second[:, :, :3], first)
    return ops.concatenate([linear[:, :, :3], linear[:, :, 3:] + second[:, :, 3:]], axis=-1)


def _product(a: Tensor, b: Tensor) -> Tensor:
    # Not ops.matmul: GPUs multiply float32 matrices in TF32 (10 bits of mantissa), a fifth of a pixel at 224.
    return ops.sum(a[:, :, :, None] * b[:, None, :, :], axis=2)


def _about_centre(yy: Tensor, yx: Tensor, xy: Tensor, xx: Tensor, size: Size) -> Tensor:
    """The linear map (y, x) -> (yy y + yx x, xy y + xx x), with the centre of the picture as its fixed point."""
    y, x = size[0] / 2, size[1] / 2
    zero = ops.zeros_like(yy)
    return _matrix([[yy, yx, y - yy * y - yx * x], [xy, xx, x - xy * y - xx * x], [zero, zero, zero + 1.0]])


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    return ops.stack([ops.stack(row, axis=-1) for row in rows], axis=1)


def _colour(linear: Tensor, offset: Tensor) -> Tensor:
    column = ops.tile(offset[:, None, None], (1, 3, 1))
    return ops.concatenate([linear, column], axis=-1)


def _entry(matrix: Tensor, row: int, column: int) -> Tensor:
    return matrix[:, row, column][:, None]
