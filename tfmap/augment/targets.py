"""What a picture's boxes, key points and mask do when its pixels move, are hidden, or are mixed with another's.

One rule for boxes: a box follows what of it can still be seen. It shrinks to that, and it is dropped (a row of zeros,
class -1) when less than KEEP of its area is left, or a side is shorter than LEAST. Rows stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from tfmap import boxes as box_maths
from tfmap.augment.warps import Warp

Tensor = Any

# A quarter: below that people cannot name a cut object reliably, and trainers of detectors drop between 0.1 and 0.3.
KEEP = 0.25
# Pixels. What is shorter is under one cell of the finest feature map that a detector here reads (stride 8) by far.
LEAST = 2.0
IGNORED = 255
# What stands in a mask of classes, and in one of objects, where the picture shows nothing of its own.
BEYOND = {"mask": IGNORED, "instances": 0}
# A bend makes curves of edges; in eight pieces they are followed to a tenth of a pixel at 224.
_PIECES = 8


def warped(
    targets: Mapping[str, Tensor],
    warp: Warp,
    sources: tuple[Tensor, Tensor],
    point_pairs: Sequence[tuple[int, int]] = (),
) -> dict[str, Tensor]:
    """The targets of warped pictures.

    Boxes become the smallest boxes around their moved corners (under a bend: their moved edges), so a turned box grows.
    Of a mask every pixel takes the nearest one; what was not in the picture is as BEYOND says, never mirrored.

    Args:
        targets: "boxes" with "classes", "points", "mask" and "instances", whichever are there.
        warp: what moved the pictures.
        sources: `warp.sources()`.
        point_pairs: rows of key points that exchange their names in a mirrored picture, such as [(1, 2)].
    """
    found = {}
    if "boxes" in targets:
        found |= _moved_boxes(targets["boxes"], targets["classes"], warp)
    if "points" in targets:
        points = targets["points"]
        moved = _inside(warp.follow(points[..., :2]), points[..., 2:], warp.size)
        found["points"] = _renamed(moved, point_pairs, warp.mirrors()) if point_pairs else moved
    return found | {key: _nearest(targets[key], *sources, BEYOND[key]) for key in BEYOND if key in targets}


def _moved_boxes(boxes: Tensor, classes: Tensor, warp: Warp) -> dict[str, Tensor]:
    outline = box_maths.outline(boxes, 1 if warp.bend is None else _PIECES)
    count, number = ops.shape(boxes)[0], boxes.shape[1]
    points = warp.follow(ops.reshape(outline, (count, -1, 2)))
    moved = box_maths.around(ops.reshape(points, (count, number, -1, 2)))
    clipped = box_maths.clip(moved, warp.size)
    return kept(clipped, classes, box_maths.area(clipped) >= KEEP * box_maths.area(moved))


def kept(boxes: Tensor, classes: Tensor, enough: Tensor) -> dict[str, Tensor]:
    """Boxes that are seen well enough and are large enough; the others as padding."""
    height, width = box_maths.sides(boxes)
    stays = enough & (ops.minimum(height, width) >= LEAST) & (classes >= 0)
    return {"boxes": ops.where(stays[..., None], boxes, 0.0), "classes": ops.where(stays, classes, -1)}


def _inside(points: Tensor, there: Tensor, size: tuple[int, int]) -> Tensor:
    """Moved points (B, N, 2) as y, x, 1; zeros where they were absent or have left the picture."""
    limit = ops.convert_to_tensor(size, "float32")
    inside = ops.all((points >= 0.0) & (points < limit), axis=-1, keepdims=True) & (there > 0.0)
    return ops.where(inside, ops.concatenate([points, ops.ones_like(there)], axis=-1), 0.0)


def _nearest(mask: Tensor, y: Tensor, x: Tensor, beyond: int) -> Tensor:
    height, width = mask.shape[1:]
    row, column = (ops.cast(ops.floor(position), "int32") for position in (y, x))
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    picture = ops.arange(ops.shape(mask)[0], dtype="int32")[:, None, None] * height
    place = (picture + ops.clip(row, 0, height - 1)) * width + ops.clip(column, 0, width - 1)
    return ops.where(inside, ops.take(ops.reshape(mask, (-1,)), place, axis=0), beyond)


def _renamed(points: Tensor, pairs: Sequence[tuple[int, int]], mirrored: Tensor) -> Tensor:
    """Key points of mirrored pictures under their new names: a left eye is a right one in a mirror."""
    order = list(range(points.shape[1]))
    for one, other in pairs:
        order[one], order[other] = other, one
    return ops.where(mirrored[:, None, None], ops.take(points, ops.convert_to_tensor(order, "int32"), axis=1), points)


def hidden(targets: Mapping[str, Tensor], wiped: Tensor) -> dict[str, Tensor]:
    """The targets of pictures of which some pixels were wiped out.

    Boxes follow the rule above; a mask of classes is ignored there, one of objects has none; a point that lies there is
    absent.

    Args:
        targets: as in `warped`.
        wiped: bool (B, H, W).
    """
    share = 1.0 - ops.cast(wiped, "float32")
    found = {}
    if "boxes" in targets:
        found |= seen(targets["boxes"], targets["classes"], share)
    if "points" in targets:
        found["points"] = _unhidden(targets["points"], share)
    return found | {key: ops.where(wiped, BEYOND[key], targets[key]) for key in BEYOND if key in targets}


def _unhidden(points: Tensor, share: Tensor) -> Tensor:
    corner = ops.floor(points[..., :2])
    rows, columns = _spans(ops.concatenate([corner, corner + 1.0], axis=-1), share.shape[1:])
    seen_there = ops.sum(ops.matmul(rows, share) * columns, axis=-1, keepdims=True)
    return ops.where(seen_there > 0.5, points, 0.0)


def seen(boxes: Tensor, classes: Tensor, share: Tensor, of: Tensor | None = None) -> dict[str, Tensor]:
    """Boxes of pictures of which only a share is seen, pixel by pixel; the rule above.

    Args:
        boxes: float32 (B, N, 4).
        classes: int32 (B, N).
        share: float32 (B, H, W) in [0, 1]: how much of the picture a pixel shows.
        of: float32 (B, H, W): what there is to see; everything, if None.

    Returns:
        dict: "boxes", "classes".
    """
    rows, columns = _spans(boxes, share.shape[1:])
    left = ops.sum(ops.matmul(rows, share) * columns, axis=-1)
    all_of_it = ops.sum(rows, axis=-1) * ops.sum(columns, axis=-1)
    if of is not None:
        all_of_it = ops.sum(ops.matmul(rows, of) * columns, axis=-1)
    clear = ops.cast(share >= KEEP, "float32")
    # pixels of each row, and of each column, that are clear inside the box
    in_rows = rows * ops.matmul(columns, ops.swapaxes(clear, 1, 2))
    in_columns = columns * ops.matmul(rows, clear)
    (top, bottom), (first, last) = _ends(in_rows), _ends(in_columns)
    tight = ops.stack([top, first, bottom, last], axis=-1)
    shrunk = ops.concatenate(
        [ops.maximum(boxes[..., :2], tight[..., :2]), ops.minimum(boxes[..., 2:], tight[..., 2:])], axis=-1
    )
    return kept(shrunk, classes, (left >= KEEP * all_of_it) & (left > 0.0))


def _spans(boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """How much of each row and of each column of pixels a box covers: float32 (B, N, H) and (B, N, W) in [0, 1]."""
    spans = []
    for axis, side in enumerate(size):
        pixel = ops.arange(side, dtype="float32")
        start, end = boxes[..., axis, None], boxes[..., axis + 2, None]
        spans.append(ops.clip(ops.minimum(end, pixel + 1.0) - ops.maximum(start, pixel), 0.0, 1.0))
    return spans[0], spans[1]


def _ends(amount: Tensor) -> tuple[Tensor, Tensor]:
    """Start of the first and end of the last pixel that has any, float32 (B, N)."""
    side = amount.shape[-1]
    pixel = ops.arange(side, dtype="float32")
    first = ops.min(ops.where(amount > 0.0, pixel, float(side)), axis=-1)
    last = ops.max(ops.where(amount > 0.0, pixel + 1.0, 0.0), axis=-1)
    return first, last


def mixed(batch: Mapping[str, Tensor], share: Tensor, of: Tensor | None = None) -> dict[str, Tensor]:
    """Boxes and masks of pictures that keep `share` of their pixels and take the rest from the one before them.

    Boxes of both, (B, 2N, 4), by the rule above. A pixel of a mask is that of the larger share: classes do not blend.

    Args:
        batch: "boxes" with "classes", "mask" and "instances", whichever are there.
        share: float32 (B, H, W) in [0, 1].
        of: what the one before had to give, see `seen`; everything, if None.
    """
    found = {}
    if "boxes" in batch:
        own = seen(batch["boxes"], batch["classes"], share)
        before = (ops.roll(batch[key], 1, axis=0) for key in ("boxes", "classes"))
        other = seen(*before, 1.0 - share, of)
        found |= {key: ops.concatenate([own[key], other[key]], axis=1) for key in own}
    own, before = share >= 0.5, {key: ops.roll(batch[key], 1, axis=0) for key in BEYOND if key in batch}
    if "instances" in batch:
        before["instances"] = renumbered(before["instances"], batch["boxes"].shape[1])
    return found | {key: ops.where(own, batch[key], other) for key, other in before.items()}


def renumbered(instances: Tensor, first: Tensor | int) -> Tensor:
    """The numbers of objects, int (B, H, W), where their boxes begin at row `first` of a longer table."""
    return ops.where(instances > 0, instances + first, 0)
