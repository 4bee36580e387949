"""Which anchors answer for which object: by what the network says now, or by where they are."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from tfmap import boxes as geometry

Tensor = Any


class Assigned(NamedTuple):
    """What each anchor has to say.

    Attributes:
        boxes: float32 (B, A, 4), yxyx in pixels; of no meaning where nothing is assigned.
        scores: float32 (B, A, K): of the object's class how well the anchor fits it, 0 elsewhere.
    """

    boxes: Tensor
    scores: Tensor

    @property
    def weight(self) -> Tensor:
        """float32 (B, A): how well each anchor fits its object; 0 where it has none."""
        return ops.sum(self.scores, axis=-1)


class Matched(NamedTuple):
    """What each anchor has to say, if it has to say anything.

    Attributes:
        boxes: float32 (B, A, 4), yxyx in pixels; the anchor itself where it has no object.
        scores: float32 (B, A, K): 1 for the object's class, 0 elsewhere.
        counts: float32 (B, A): 0 for anchors that are neither near enough to an object nor far enough from all.
        rows: int32 (B, A): of the object among the picture's; of no meaning where the anchor has none.
    """

    boxes: Tensor
    scores: Tensor
    counts: Tensor
    rows: Tensor

    @property
    def weight(self) -> Tensor:
        """float32 (B, A): 1 for anchors that have an object."""
        return ops.sum(self.scores, axis=-1)


def by_overlap(
    anchors: Tensor, truths: Tensor, classes: Tensor, many: int, *, overlaps: tuple[float, float]
) -> Matched:
    """Anchors answer for the object they overlap most, and for each object so does the anchor that overlaps it most.

    Args:
        anchors: float32 (A, 4), or (B, A, 4) of each picture, yxyx in pixels.
        truths: float32 (B, N, 4), yxyx in pixels; rows of zeros are padding.
        classes: int32 (B, N), -1 for padding.
        many: K, the number of classes.
        overlaps: IoU below which an anchor has no object, and IoU from which on it has one.

    Returns:
        Matched: no gradient goes through it.

    Source: Ren et al., Faster R-CNN, 2015, section 3.1.2; of equally good anchors of an object the first one.
    """
    anchors = ops.stop_gradient(anchors)
    overlap = ops.where((classes >= 0)[..., None], geometry.iou(truths, anchors), 0.0)  # (B, N, A)
    closest = ops.one_hot(ops.argmax(overlap, axis=-1), overlap.shape[-1])
    forced = ops.where(overlap > 0, overlap * closest, 0.0)
    is_forced = ops.max(forced, axis=1) > 0
    owner = ops.where(is_forced, ops.argmax(forced, axis=1), ops.argmax(overlap, axis=1))
    best, (low, high) = ops.max(overlap, axis=1), overlaps
    there = ops.logical_or(is_forced, best >= high)
    kinds = ops.take_along_axis(ops.maximum(classes, 0), owner, axis=1)
    found = ops.take_along_axis(truths, owner[..., None], axis=1)
    return Matched(
        ops.where(there[..., None], found, anchors),
        ops.where(there[..., None], ops.one_hot(kinds, many, dtype="float32"), 0.0),
        ops.cast(ops.logical_or(there, best < low), "float32"),
        owner,
    )


def task_aligned(
    found: Tensor, scores: Tensor, anchors: Tensor, truths: Tensor, classes: Tensor, *, top: int = 10
) -> Assigned:
    """The anchors whose class and box agree best with an object answer for it.

    Args:
        found: float32 (B, A, 4), yxyx in pixels: what the network says.
        scores: float32 (B, A, K), 0..1: the same.
        anchors: float32 (A, 4): only those with their centre in an object are asked.
        truths: float32 (B, N, 4), yxyx in pixels; rows of zeros are padding.
        classes: int32 (B, N), -1 for padding.
        top: anchors of an object at most.

    Returns:
        Assigned: no gradient goes through it. An anchor between two objects answers for the one it overlaps more.

    Source: Feng et al., TOOD: Task-aligned One-stage Object Detection, 2021, section 3.2, with alpha 0.5 and beta 6 as
        in YOLOv8.
    """
    found, scores = ops.stop_gradient(found), ops.stop_gradient(scores)
    overlap = ops.where(_inside(anchors, truths, classes), geometry.iou(truths, found), 0.0)  # (B, N, A)
    kinds = ops.maximum(classes, 0)[..., None]
    said = ops.take_along_axis(ops.swapaxes(scores, 1, 2), kinds, axis=1)  # (B, N, A)
    fit = ops.sqrt(said) * overlap**6
    least = ops.top_k(fit, min(top, fit.shape[-1]))[0][..., -1:]
    mine = ops.logical_and(fit >= ops.maximum(least, _NOTHING), fit > _NOTHING)
    mine = ops.logical_and(mine, _first(ops.where(mine, overlap, -1.0)))
    return _assigned(mine, fit, overlap, truths, kinds[..., 0], scores.shape[-1])


_NOTHING = 1e-12


def _inside(anchors: Tensor, truths: Tensor, classes: Tensor) -> Tensor:
    """bool (B, N, A): whether the centre of an anchor lies in an object."""
    y, x = (anchors[:, 0] + anchors[:, 2]) / 2, (anchors[:, 1] + anchors[:, 3]) / 2
    top, left, bottom, right = (truths[..., k : k + 1] for k in range(4))
    inside = ops.logical_and(ops.logical_and(y > top, y < bottom), ops.logical_and(x > left, x < right))
    return ops.logical_and(inside, classes[..., None] >= 0)


def _first(values: Tensor) -> Tensor:
    """bool (B, N, A): the object that has an anchor's largest value, the first of equals."""
    return ops.equal(ops.argmax(values, axis=1)[:, None], ops.arange(values.shape[1])[None, :, None])


def _assigned(mine: Tensor, fit: Tensor, overlap: Tensor, truths: Tensor, kinds: Tensor, classes: int) -> Assigned:
    """The targets of anchors: an object's best anchor gets the overlap as its score, the others in proportion."""
    fit, overlap = ops.where(mine, fit, 0.0), ops.where(mine, overlap, 0.0)
    best = ops.max(fit, axis=-1, keepdims=True)
    scale = ops.max(overlap, axis=-1, keepdims=True) / ops.maximum(best, _NOTHING)
    share = ops.cast(fit * scale, "float32")  # (B, N, A); of an anchor at most one object is not zero
    scores = ops.matmul(ops.swapaxes(share, 1, 2), ops.one_hot(kinds, classes, dtype="float32"))
    chosen = ops.argmax(ops.cast(mine, "int32"), axis=1)
    return Assigned(ops.take_along_axis(truths, chosen[..., None], axis=1), scores)
