"""What a detector learns from: how its boxes and scores differ from what was assigned to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

from tfmap import boxes as geometry
from tfmap.tasks.detectors.assign import Assigned, task_aligned

Tensor = Any
EPSILON = 1e-7  # keeps a logarithm of a score finite in float32


def one_stage(
    anchors: Tensor, *, box_weight: float = 7.5, gamma: float = 0.0, top: int = 10
) -> Callable[[Any, Any], Tensor]:
    """Cross-entropy of scores and complete IoU of boxes, in proportion to how well each anchor fits its object.

    Args:
        anchors: float32 (A, 4), yxyx in pixels.
        box_weight: of the boxes beside the scores.
        gamma: how strongly scores that are far off count more than others; 0 is plain cross-entropy.
        top: anchors of an object at most.

    Returns:
        function (targets {"boxes" (B, N, 4), "classes" (B, N)}, outputs {"boxes" (B, A, 4), "scores" (B, A, K)}) ->
            float32 (B,).

    Source: Li et al., Generalized Focal Loss, 2020, equation 4, for gamma with scores between 0 and 1.
    """

    def loss(targets: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        found, scores = outputs["boxes"], outputs["scores"]
        assigned = task_aligned(found, scores, anchors, targets["boxes"], targets["classes"], top=top)
        assigned = Assigned(*map(ops.stop_gradient, assigned))
        # Of a picture, but not of one with hardly an object: its few anchors would shout.
        objects = ops.maximum(ops.sum(assigned.weight, axis=-1), 1.0)
        far = ops.power(ops.abs(assigned.scores - scores) + EPSILON, gamma) if gamma else 1.0
        what = ops.sum(far * cross_entropy(assigned.scores, scores), axis=(1, 2))
        where = ops.sum(assigned.weight * (1.0 - geometry.ciou(found, assigned.boxes)), axis=-1)
        return (what + box_weight * where) / objects

    return loss


def cross_entropy(targets: Tensor, scores: Tensor) -> Tensor:
    """Of independent classes, element by element: float32 (...) twice, 0..1 -> (...)."""
    scores = ops.clip(scores, EPSILON, 1.0 - EPSILON)
    return -(targets * ops.log(scores) + (1.0 - targets) * ops.log(1.0 - scores))
