"""What a detector learns from: how its boxes and scores differ from what was assigned to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

from tfmap import boxes as geometry
from tfmap.tasks.detectors import assign
from tfmap.tasks.detectors.assign import Assigned, Matched

Tensor = Any
Loss = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Tensor]
EPSILON = 1e-7  # keeps a logarithm of a score finite in float32


def one_stage(
    anchors: Tensor,
    *,
    box_weight: float = 7.5,
    gamma: float = 0.0,
    top: int = 10,
    also: Callable[[Assigned, Mapping[str, Tensor]], Tensor] | None = None,
) -> Loss:
    """Cross-entropy of scores and complete IoU of boxes, in proportion to how well each anchor fits its object.

    Args:
        anchors: float32 (A, 4), yxyx in pixels.
        box_weight: of the boxes beside the scores.
        gamma: how strongly scores that are far off count more than others; 0 is plain cross-entropy.
        top: anchors of an object at most.
        also: what else boxes cost, (what was assigned, outputs) -> float32 (B, A).

    Returns:
        function (targets {"boxes" (B, N, 4), "classes" (B, N)}, outputs {"boxes" (B, A, 4), "scores" (B, A, K)}) ->
            float32 (B,).

    Source: Li et al., Generalized Focal Loss, 2020, equation 4, for gamma with scores between 0 and 1.
    """

    def loss(targets: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        found, scores = outputs["boxes"], outputs["scores"]
        assigned = assign.task_aligned(found, scores, anchors, targets["boxes"], targets["classes"], top=top)
        assigned = Assigned(*map(ops.stop_gradient, assigned))
        # Of a picture, but not of one with hardly an object: its few anchors would shout.
        objects = ops.maximum(ops.sum(assigned.weight, axis=-1), 1.0)
        what = ops.sum(focal(assigned.scores, scores, gamma=gamma), axis=(1, 2))
        where = box_weight * (1.0 - geometry.ciou(found, assigned.boxes))
        where = where + also(assigned, outputs) if also else where
        return (what + ops.sum(assigned.weight * where, axis=-1)) / objects

    return loss


def imitation(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor], *, box_weight: float = 7.5) -> Tensor:
    """How far a detector of one stage is from another one of the same places: each place learns what the other says.

    Args:
        theirs: "boxes" (B, A, 4), yxyx in pixels, and "scores" (B, A, K), 0..1: a teacher's outputs.
        ours: the same of the detector that learns.
        box_weight: of the boxes, each in proportion to its teacher's score, beside the scores.

    Returns:
        float32 (B,).

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, for soft scores; boxes are regressed to
        the teacher's where it is sure, as in Chen et al., Learning Efficient Object Detection Models with Knowledge
        Distillation, 2017, section 3.3.
    """
    sure = ops.max(theirs["scores"], axis=-1)
    what = ops.sum(cross_entropy(theirs["scores"], ours["scores"]), axis=(1, 2))
    where = box_weight * sure * (1.0 - geometry.ciou(ours["boxes"], theirs["boxes"]))
    return (what + ops.sum(where, axis=-1)) / ops.maximum(ops.sum(sure, axis=-1), 1.0)


def matched(
    anchors: Tensor,
    *,
    overlaps: tuple[float, float],
    what: Callable[[Matched, Tensor], Tensor],
    where: Callable[[Tensor, Tensor], Tensor],
    box_weight: float,
) -> Loss:
    """The loss of a detector whose anchors answer for the objects they overlap.

    Args:
        anchors: float32 (A, 4), yxyx in pixels.
        overlaps: IoUs below and from which on an anchor has none and has an object; see `assign.by_overlap`.
        what: (what was assigned, scores (B, A, K)) -> float32 (B,).
        where: (boxes (B, A, 4), those of the objects (B, A, 4)) -> float32 (B, A).
        box_weight: of the boxes beside the scores.

    Returns:
        function as that of `one_stage`: over the anchors that have an object, both parts are divided by their number.

    Source: Liu et al., SSD, 2016, equation 1; Lin et al., Focal Loss, 2017, section 4.1.
    """

    def loss(targets: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        found, scores = outputs["boxes"], outputs["scores"]
        truths = assign.by_overlap(anchors, targets["boxes"], targets["classes"], scores.shape[-1], overlaps=overlaps)
        many = ops.maximum(ops.sum(truths.weight, axis=-1), 1.0)
        return (what(truths, scores) + box_weight * ops.sum(truths.weight * where(found, truths.boxes), -1)) / many

    return loss


def focal(targets: Tensor, scores: Tensor, *, gamma: float, alpha: float | None = None) -> Tensor:
    """Cross-entropy that turns to scores that are far off, element by element.

    Args:
        targets: float32 (...), 0..1.
        scores: float32 (...), 0..1.
        gamma: how strongly; 0 is plain cross-entropy.
        alpha: share of what is there, the rest is that of what is not; none weighs neither.

    Returns:
        float32 (...).

    Source: Lin et al., Focal Loss for Dense Object Detection, 2017, equation 5; with targets between 0 and 1 Li et al.,
        Generalized Focal Loss, 2020, equation 4.
    """
    cost = cross_entropy(targets, scores)
    if gamma:
        cost = ops.power(ops.abs(targets - scores) + EPSILON, gamma) * cost
    return cost if alpha is None else (alpha * targets + (1.0 - alpha) * (1.0 - targets)) * cost


def hardest(costs: Tensor, there: Tensor, *, times: int = 3) -> Tensor:
    """The anchors without an object that cost most, in proportion to those that have one.

    Args:
        costs: float32 (B, A), at least 0.
        there: float32 (B, A): 1 for anchors that have an object.
        times: of each that has one; a picture without objects counts as one that has one.

    Returns:
        float32 (B, A): 1 for those chosen; equals of the last one go along. No gradient goes through it.

    Source: Liu et al., SSD, 2016, section 2.2, "hard negative mining".
    """
    free = ops.stop_gradient(ops.where(there > 0, -1.0, costs))
    number = times * ops.maximum(ops.cast(ops.sum(there, axis=-1, keepdims=True), "int32"), 1)
    falling = ops.flip(ops.sort(free, axis=-1), axis=-1)
    least = ops.take_along_axis(falling, ops.minimum(number, free.shape[-1]) - 1, axis=-1)
    return ops.cast(free >= ops.maximum(least, 0.0), "float32")


def balanced(costs: Tensor, there: Tensor, counts: Tensor, *, share: float) -> Tensor:
    """Mean cost of anchors that have an object, and of those that have none, each with its share.

    What a random draw of so many of both gives on average, without the draw.

    Args:
        costs: float32 (B, A).
        there: float32 (B, A): 1 for anchors that have an object.
        counts: float32 (B, A): 0 for those that are not asked.
        share: of those that have one, 0..1.

    Returns:
        float32 (B,).

    Source: Ren et al., Faster R-CNN, 2015, section 3.1.3, for the draw.
    """
    free = counts * (1.0 - there)
    mine, others = (ops.sum(costs * mask, -1) / ops.maximum(ops.sum(mask, -1), 1.0) for mask in (there, free))
    return share * mine + (1.0 - share) * others


def smooth_l1(difference: Tensor) -> Tensor:
    """Half the square up to 1, straight from there on: float32 (...) -> (...).

    Source: Girshick, Fast R-CNN, 2015, equation 3.
    """
    size = ops.abs(difference)
    return ops.where(size < 1.0, 0.5 * size**2, size - 0.5)


def cross_entropy(targets: Tensor, scores: Tensor) -> Tensor:
    """Of independent classes, element by element: float32 (...) twice, 0..1 -> (...)."""
    scores = ops.clip(scores, EPSILON, 1.0 - EPSILON)
    return -(targets * ops.log(scores) + (1.0 - targets) * ops.log(1.0 - scores))
