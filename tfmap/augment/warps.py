"""One warp: the product of a policy's coordinate maps and its bend, and what they do to pixels and points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from tfmap import maps

Tensor = Any

# Most that a bend may move a control point, as a share of a cell. The slope of the bend in cells is at most
# _SLOPE times that share, so up to 1 / _SLOPE = 0.489 a bend folds nothing, and at 0.4 the way back converges.
# Source of the number: Choi and Lee, Injectivity conditions of 2D and 3D uniform cubic B-spline functions, 2000.
MOST_BENT = 0.4
# Steps of the way back; each leaves at most _SLOPE * MOST_BENT = 0.82 of the error, on real draws about a third.
_STEPS = 12


@dataclass(frozen=True)
class Bend:
    """A smooth displacement of the points of the output, by a uniform cubic B-spline.

    Attributes:
        control: float32 (B, 2, G + 3, G + 3): displacements (y, x) of the points of a grid of G cells a side, and of
            one row before and two rows behind, in cells.
    """

    control: Tensor

    @property
    def cells(self) -> int:
        """Cells along each side of the picture, G."""
        return self.control.shape[-1] - 3

    def dense(self, size: maps.Size) -> tuple[Tensor, Tensor]:
        """Displacement of every pixel: along y and along x, float32 (B, H, W) in pixels."""
        # The spline is a product of one along y and one along x: two small matrix products and no gather.
        rows, columns = (_basis((ops.arange(n, dtype="float32") + 0.5) / n * self.cells, self.cells) for n in size)
        field = ops.einsum("hi,bkij,wj->bkhw", rows, self.control, columns)
        return field[:, 0] * (size[0] / self.cells), field[:, 1] * (size[1] / self.cells)

    def at(self, points: Tensor, size: maps.Size) -> Tensor:
        """Displacement of points, float32 (B, N, 2) -> (B, N, 2), yx in pixels; it fades to 0 beyond the border."""
        rows, columns = (_basis(points[..., k] * (self.cells / size[k]), self.cells) for k in (0, 1))
        along_y = ops.einsum("bni,bkij->bnkj", rows, self.control)
        moved = ops.sum(along_y * columns[:, :, None, :], axis=-1)
        return moved * (ops.convert_to_tensor(size, "float32") / self.cells)


@dataclass(frozen=True)
class Warp:
    """Where the points of B pictures go: an output point p shows the input point matrix(p + bend(p)).

    Attributes:
        matrix: float32 (B, 3, 3), see `tfmap.maps`.
        size: (height, width) of the pictures.
        projective: whether the matrix holds a perspective; without one nothing is divided.
        bend: an elastic bend, or None.
    """

    matrix: Tensor
    size: maps.Size
    projective: bool = False
    bend: Bend | None = None

    def sources(self) -> tuple[Tensor, Tensor]:
        """What each output pixel shows: y and x in the input, float32 (B, H, W) in pixels, also beyond its border."""
        y, x = ((ops.arange(side, dtype="float32") + 0.5) for side in self.size)
        y, x = y[:, None], x[None, :]
        if self.bend is not None:
            down, right = self.bend.dense(self.size)
            y, x = y + down, x + right
        rows = range(3 if self.projective else 2)
        entry = [[self.matrix[:, row, column][:, None, None] for column in range(3)] for row in rows]
        found = [along_y * y + along_x * x + offset for along_y, along_x, offset in entry]
        if not self.projective:
            return found[0], found[1]
        depth = maps.in_front(found[2])
        return found[0] / depth, found[1] / depth

    def follow(self, points: Tensor) -> Tensor:
        """Where points of the input are shown, float32 (B, N, 2) -> (B, N, 2), yx in pixels."""
        straight = maps.apply_to_points(maps.invert(self.matrix), points)
        if self.bend is None:
            return straight
        # p + bend(p) = straight, solved as a fixed point: the bend is a contraction
        bent = straight
        for _ in range(_STEPS):
            bent = straight - self.bend.at(bent, self.size)
        return bent

    def mirrors(self) -> Tensor:
        """bool (B,): whether left and right hands are exchanged."""
        a, b, c = (self.matrix[:, :, column] for column in range(3))
        return ops.sum(a * ops.cross(b, c), axis=-1) < 0


def _basis(position: Tensor, cells: int) -> Tensor:
    """Weights of the control points -1, 0, 1, ... at positions (...,) in cells, float32 (..., G + 3)."""
    distance = ops.abs(position[..., None] - (ops.arange(cells + 3, dtype="float32") - 1.0))
    return (ops.maximum(2.0 - distance, 0.0) ** 3 - 4.0 * ops.maximum(1.0 - distance, 0.0) ** 3) / 6.0
