"""What a split says about a picture beyond its label: boxes and a mask, moved with the pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfmap.pipeline.decode import Part
from tfmap.source import MOST, Boxes

# A box of which less than this share is inside a random part of the picture goes: what is left is no longer the object.
LEAST_INSIDE = 0.25

# What stands where there is nothing: behind the last picture, and in the place of one that cannot be read.
BLANK = {"image": 0, "boxes": 0, "classes": -1, "mask": 255, "instances": 0, "whole": 1}


class Objects(NamedTuple):
    """The boxes of a picture.

    Attributes:
        boxes: float32 (n, 4), yxyx in pixels.
        classes: int32 (n,).
        numbers: int32 (n,): what stands for each in the picture's mask of objects.
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    numbers: tf.Tensor

    def take(self, rows: tf.Tensor) -> Objects:
        """Those at int32 (m,) rows."""
        return Objects(*(tf.gather(part, rows) for part in self))


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
            self._numbers = tf.constant(_numbers(boxes)[single], tf.int32)

    def of(self, row: tf.Tensor) -> Objects:
        """The objects of a picture, in pixels of all of it."""
        here = slice(self._starts[row], self._starts[row + 1])
        found = Objects(self._boxes[here], self._classes[here], self._numbers[here])
        if not self._surplus:
            return found
        return found.take(tf.sort(tf.argsort(_areas(found.boxes), direction="DESCENDING", stable=True)[: self.most]))

    def padded(self, boxes: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """float32 (most, 4), zeros behind the last, and int32 (most,), -1 behind the last."""
        missing = self.most - tf.shape(boxes)[0]
        boxes = tf.pad(boxes, [[0, missing], [0, 0]], constant_values=BLANK["boxes"])
        classes = tf.pad(classes, [[0, missing]], constant_values=BLANK["classes"])
        return tf.ensure_shape(boxes, (self.most, 4)), tf.ensure_shape(classes, (self.most,))


def moved(boxes: tf.Tensor, part: Part) -> tf.Tensor:
    """Boxes float32 (n, 4) in pixels of the whole picture -> in pixels of a part of it, wherever they then lie."""
    return (boxes - tf.tile(tf.cast(part.origin, tf.float32), [2])) / tf.cast(part.ratio, tf.float32)


def inside(found: Objects, image: tf.Tensor) -> Objects:
    """Boxes cut at the borders of an image; those of which too little is left are dropped.

    Args:
        found: in pixels of the image.
        image: (h, w, C).
    """
    cut = tf.clip_by_value(found.boxes, 0.0, tf.tile(tf.cast(tf.shape(image)[:2], tf.float32), [2]))
    kept = _areas(cut) >= LEAST_INSIDE * tf.maximum(_areas(found.boxes), 1e-6)
    return found._replace(boxes=cut).take(tf.where(kept)[:, 0])


def renumbered(mask: tf.Tensor, found: Objects) -> tf.Tensor:
    """A mask of objects uint8 (h, w), numbered by the rows of `found`, from 1; 0 for other objects."""
    rows = tf.cast(tf.range(1, tf.shape(found.numbers)[0] + 1), tf.uint8)
    table = tf.scatter_nd(found.numbers[:, tf.newaxis], rows, [256])
    return tf.gather(tf.tensor_scatter_nd_update(table, [[0]], [0]), tf.cast(mask, tf.int32))


def mask_inside(mask: tf.Tensor, part: Part) -> tf.Tensor:
    """The mask uint8 (H, W) of a whole picture, cut like a part of it; not shrunk."""
    (y, x), (height, width) = tf.unstack(part.origin), tf.unstack(tf.shape(part.image)[:2] * part.ratio)
    return mask[y : y + height, x : x + width]


def _numbers(boxes: Boxes) -> np.ndarray:
    """int (M,): the row of each in its picture, from 1; 0 where a mask has no numbers left."""
    rows = np.arange(len(boxes.boxes)) - np.repeat(boxes.starts[:-1], np.diff(boxes.starts)) + 1
    return np.where(rows <= MOST, rows, 0)


def _areas(boxes: tf.Tensor) -> tf.Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
