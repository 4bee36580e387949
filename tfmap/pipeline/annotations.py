"""What a split says about a picture beyond its label: boxes and a mask, moved with the pixels."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfmap.pipeline.decode import Part
from tfmap.source import Boxes

# A box of which less than this share is inside a random part of the picture goes: what is left is no longer the object.
LEAST_INSIDE = 0.25

# What stands where there is nothing: behind the last picture, and in the place of one that cannot be read.
BLANK = {"image": 0, "boxes": 0, "classes": -1, "mask": 255, "whole": 1}


class BoxTable:
    """The boxes of a split as tensors, without crowds: one box around many objects teaches nothing about one.

    Args:
        boxes: of N pictures.
        most: boxes kept of a picture, the largest; None keeps all.

    Attributes:
        most: rows that a batch needs, at least 1.
    """

    def __init__(self, boxes: Boxes, most: int | None = None) -> None:
        single = ~boxes.crowd
        starts = np.concatenate([[0], np.cumsum(single)])[boxes.starts]
        largest = int(np.diff(starts).max(initial=0))
        self.most = most or max(1, largest)
        self._surplus = largest > self.most
        with tf.device("CPU:0"):
            self._starts = tf.constant(starts, tf.int64)
            self._boxes = tf.constant(boxes.boxes[single], tf.float32)
            self._classes = tf.constant(boxes.classes[single], tf.int32)

    def of(self, row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """float32 (n, 4) yxyx in pixels of the whole picture, and int32 (n,)."""
        here = slice(self._starts[row], self._starts[row + 1])
        boxes, classes = self._boxes[here], self._classes[here]
        if not self._surplus:
            return boxes, classes
        kept = tf.sort(tf.argsort(_areas(boxes), direction="DESCENDING", stable=True)[: self.most])
        return tf.gather(boxes, kept), tf.gather(classes, kept)

    def padded(self, boxes: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """float32 (most, 4), zeros behind the last, and int32 (most,), -1 behind the last."""
        missing = self.most - tf.shape(boxes)[0]
        boxes = tf.pad(boxes, [[0, missing], [0, 0]], constant_values=BLANK["boxes"])
        classes = tf.pad(classes, [[0, missing]], constant_values=BLANK["classes"])
        return tf.ensure_shape(boxes, (self.most, 4)), tf.ensure_shape(classes, (self.most,))


def moved(boxes: tf.Tensor, part: Part) -> tf.Tensor:
    """Boxes float32 (n, 4) in pixels of the whole picture -> in pixels of a part of it, wherever they then lie."""
    return (boxes - tf.tile(tf.cast(part.origin, tf.float32), [2])) / tf.cast(part.ratio, tf.float32)


def inside(boxes: tf.Tensor, classes: tf.Tensor, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes cut at the borders of an image; those of which too little is left are dropped.

    Args:
        boxes: float32 (n, 4), yxyx in pixels of the image.
        classes: int32 (n,).
        image: (h, w, C).

    Returns:
        float32 (m, 4) and int32 (m,).
    """
    cut = tf.clip_by_value(boxes, 0.0, tf.tile(tf.cast(tf.shape(image)[:2], tf.float32), [2]))
    kept = _areas(cut) >= LEAST_INSIDE * tf.maximum(_areas(boxes), 1e-6)
    return tf.boolean_mask(cut, kept), tf.boolean_mask(classes, kept)


def mask_inside(mask: tf.Tensor, part: Part) -> tf.Tensor:
    """The mask uint8 (H, W) of a whole picture, cut like a part of it; not shrunk."""
    (y, x), (height, width) = tf.unstack(part.origin), tf.unstack(tf.shape(part.image)[:2] * part.ratio)
    return mask[y : y + height, x : x + width]


def _areas(boxes: tf.Tensor) -> tf.Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
