"""Average precision while a detector learns: on the device, from histograms, to a hundredth of COCO's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfmap import boxes as geometry

Tensor = Any
_ASKED = 4  # times as many places are asked as boxes count
_BINS = 200  # of scores; two boxes in one count as found at once


class AveragePrecision(keras.metrics.Metric):
    """Mean over classes of the area under precision and recall, at one IoU.

    Args:
        classes: K.
        threshold: IoU from which on a box has found an object.
        suppress: IoU with a better box of the class above which a box is dropped.
        most: boxes of a picture that count.

    Source: Everingham et al., The Pascal Visual Object Classes Challenge, 2010, section 4.2, all points.
    """

    def __init__(
        self, classes: int, *, threshold: float = 0.5, suppress: float = 0.6, most: int = 100, name: str = "mAP50"
    ) -> None:
        super().__init__(name=name)
        self.classes, self.threshold, self.suppress, self.most = classes, threshold, suppress, most
        self.right, self.wrong = (self.add_variable((classes, _BINS), "zeros", name=end) for end in ("right", "wrong"))
        self.there = self.add_variable((classes,), "zeros", name="there")

    def update_state(
        self, y_true: Mapping[str, Tensor], y_pred: Mapping[str, Tensor], sample_weight: Any = None
    ) -> None:
        """Take a batch.

        Args:
            y_true: "boxes" float32 (B, N, 4) and "classes" int32 (B, N), -1 for padding.
            y_pred: "boxes" float32 (B, A, 4) and "scores" float32 (B, A, K).
            sample_weight: float32 (B,); a picture of weight 0 does not count.
        """
        weight = ops.ones_like(y_pred["scores"][:, 0, 0]) if sample_weight is None else sample_weight
        counts = ops.cast(weight > 0, "float32")[:, None]
        found, scores, kinds = self._best(y_pred)
        kept, right = _judged(found, kinds, y_true, suppress=self.suppress, threshold=self.threshold)
        places = ops.one_hot(ops.cast(ops.clip(scores * _BINS, 0, _BINS - 1), "int32"), _BINS)
        owners = ops.one_hot(kinds, self.classes)
        for variable, chosen in ((self.right, right), (self.wrong, ops.logical_and(kept, ops.logical_not(right)))):
            marks = ops.cast(chosen, "float32") * counts
            variable.assign_add(ops.einsum("bd,bdk,bds->ks", marks, owners, places))
        self.there.assign_add(ops.sum(ops.one_hot(y_true["classes"], self.classes) * counts[..., None], axis=(0, 1)))

    def _best(self, y_pred: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, D, 4), scores (B, D) falling, and classes (B, D), of the best places; each for its best class.

        Of some hundred places those first that no better one of their class lies on: a dozen may find one object.
        """
        best = ops.max(y_pred["scores"], axis=-1)
        kinds = ops.argmax(y_pred["scores"], axis=-1)
        boxes, scores, kinds = _taken(y_pred["boxes"], best, kinds, min(_ASKED * self.most, best.shape[1]))
        better = ops.triu(ops.ones((scores.shape[1], scores.shape[1])), k=1)  # the row is surer than the column
        same = ops.cast(ops.equal(kinds[:, :, None], kinds[:, None]), "float32")
        covered = ops.max(better * same * geometry.iou(boxes, boxes), axis=1) > self.suppress
        boxes, ranked, kinds = _taken(
            boxes, scores - ops.cast(covered, "float32"), kinds, min(self.most, best.shape[1])
        )
        return boxes, ops.where(ranked < 0, 0.0, ranked), kinds

    def result(self) -> Tensor:
        """A number in 0..1, over the classes that were there."""
        right, wrong = (ops.cumsum(ops.flip(x, axis=1), axis=1) for x in (self.right, self.wrong))
        recall = right / ops.maximum(self.there, 1.0)[:, None]
        precision = right / ops.maximum(right + wrong, 1.0)
        later = ops.triu(ops.ones((_BINS, _BINS)))  # the best precision at this recall or a higher one
        envelope = ops.max(later * precision[:, None], axis=-1)
        steps = recall - ops.pad(recall, [[0, 0], [1, 0]])[:, :-1]
        occurs = ops.cast(self.there > 0, "float32")
        return ops.sum(occurs * ops.sum(steps * envelope, axis=1)) / ops.maximum(ops.sum(occurs), 1.0)


def _taken(boxes: Tensor, scores: Tensor, kinds: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The places with the highest scores, falling."""
    scores, places = ops.top_k(scores, most)
    kinds = ops.take_along_axis(kinds, places, axis=1)
    return ops.take_along_axis(boxes, places[..., None], axis=1), scores, kinds


def _judged(
    found: Tensor, kinds: Tensor, truths: Mapping[str, Tensor], *, suppress: float, threshold: float
) -> tuple[Tensor, Tensor]:
    """Bool (B, D) twice: which boxes no better one suppresses, and which of them find an object that was not found."""
    same = ops.equal(kinds[:, :, None], kinds[:, None])
    close = ops.logical_and(same, geometry.iou(found, found) > suppress)
    fits = ops.equal(kinds[:, :, None], truths["classes"][:, None])
    overlap = ops.where(fits, geometry.iou(found, truths["boxes"]), 0.0)  # (B, D, N)
    many = kinds.shape[1]

    def judge(i: Tensor, state: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        kept, right, free = state
        mine = ops.cast(ops.equal(ops.arange(many), i), "float32")  # (D,)
        here = ops.max(ops.where(mine > 0, kept, 0.0), axis=1)  # whether it is still there
        offer = ops.einsum("bdn,d->bn", overlap, mine) * free
        best = ops.argmax(offer, axis=1)
        hit = here * ops.cast(ops.max(offer, axis=1) >= threshold, "float32")
        free = free * (1.0 - hit[:, None] * ops.one_hot(best, free.shape[1]))
        later = ops.cast(ops.arange(many) > i, "float32")
        gone = here[:, None] * later * ops.einsum("bde,d->be", ops.cast(close, "float32"), mine)
        return kept * (1.0 - gone), right + hit[:, None] * mine, free

    none = ops.zeros_like(kinds, dtype="float32")
    state = (none + 1.0, none, ops.ones_like(truths["classes"], dtype="float32"))
    kept, right, _ = ops.fori_loop(0, many, judge, state)
    return kept > 0, right > 0
