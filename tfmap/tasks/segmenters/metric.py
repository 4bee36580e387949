"""Mean IoU while a segmenter learns."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfmap.tasks.segmenters.losses import known


class MeanIoU(keras.metrics.Metric):
    """Mean over the classes that were there, or were said, of shared pixels over all of them; 255 does not count.

    Args:
        classes: K.
    """

    def __init__(self, classes: int, *, name: str = "mIoU") -> None:
        super().__init__(name=name)
        self.classes = classes
        self.pixels = self.add_variable((classes, classes), "zeros", name="pixels")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch.

        Args:
            y_true: int32 (B, H, W).
            y_pred: float32 (B, H, W, K).
            sample_weight: float32 (B,); a picture of weight 0 does not count.
        """
        truths, counts = known(y_true, self.classes)
        if sample_weight is not None:
            counts = counts * ops.cast(sample_weight > 0, "float32")[:, None]
        said = ops.one_hot(ops.reshape(ops.argmax(y_pred, axis=-1), ops.shape(counts)), self.classes)
        self.pixels.assign_add(ops.einsum("bpk,bpj->kj", truths * counts[..., None], said))

    def result(self) -> Any:
        """A number in 0..1."""
        shared = ops.diagonal(self.pixels)
        union = ops.sum(self.pixels, axis=0) + ops.sum(self.pixels, axis=1) - shared
        occurs = ops.cast(union > 0, "float32")
        return ops.sum(shared / ops.maximum(union, 1.0)) / ops.maximum(ops.sum(occurs), 1.0)
