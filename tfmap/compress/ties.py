"""Weights that stay alike while others learn: the zeros of a pruned kernel, the shared values of a clustered one.

After every step of the optimiser the kernel is put back: a zero to zero, a group of weights to its mean, which is a
gradient step on the value that they share (Han et al., Deep Compression, 2016, section 3).

A shared value is a magnitude in units of the largest weight of its output channel, or of the kernel in a dense layer.
An int8 file has a scale per output channel, set by that weight, so the groups of all channels get the same few integers
there, and the sign of a normalisation that is folded in makes no new ones. Values shared in float, as tfmot's
clustering makes them, are rounded to other integers in every channel: gzip has little of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras

# Kernels with more different magnitudes have not been clustered.
_MOST = 64
_APART = 1e-4  # of magnitudes; int8 tells 1/127 apart


class Tie(NamedTuple):
    """What stays alike in one kernel.

    Attributes:
        kernel: the variable, output channels last.
        sign: float32, the kernel's shape: -1, 0 or 1.
        group: int32, the kernel's shape: which weights share a magnitude; None ties the zeros alone.
        count: of the groups; the last one holds the largest weights of the channels, whose magnitude is 1.
    """

    kernel: tf.Variable
    sign: tf.Tensor
    group: tf.Tensor | None
    count: int


class Hold(tf_keras.callbacks.Callback):
    """Puts kernels back after every step.

    Args:
        kernels: variables (..., output channels), as pruning and clustering left them.
    """

    def __init__(self, kernels: Iterable[tf.Variable]) -> None:
        super().__init__()
        self.ties = [found for found in map(tie, kernels) if found is not None]
        self._hold = tf.function(self._all)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Once the optimiser has moved them."""
        if self.ties:
            self._hold()

    def _all(self) -> None:
        for found in self.ties:
            found.kernel.assign(held(found, found.kernel))


def tie(kernel: tf.Variable) -> Tie | None:
    """The zeros and the groups of a kernel; None where it has neither.

    Args:
        kernel: float32 (..., output channels).
    """
    values = kernel.numpy()
    group = _groups(np.abs(values) / _largest(values))
    if not values.any() or (group is None and values.all()):
        return None
    count = 0 if group is None else int(group.max()) + 1
    groups = None if group is None else tf.constant(group, tf.int32)
    return Tie(kernel, tf.constant(np.sign(values)), groups, count)


def _groups(magnitude: np.ndarray) -> np.ndarray | None:
    """Which weights are alike, int (magnitude's shape), in ascending order; None where they are not clustered.

    Equal numbers differ in their last digits once they have been scaled, so groups are told by the gaps between them.
    """
    levels, place = np.unique(magnitude, return_inverse=True)
    starts = np.append(True, np.diff(levels) > _APART)
    spans = levels[np.append(starts[1:], True)] - levels[starts]
    if len(spans) > _MOST or 4 * len(spans) > magnitude.size or spans.max() > _APART:
        return None
    return (np.cumsum(starts) - 1)[place].reshape(magnitude.shape)


def held(found: Tie, kernel: tf.Tensor) -> tf.Tensor:
    """The nearest kernel that keeps the tie.

    Args:
        found: the tie.
        kernel: float32 (..., output channels), after a step.
    """
    if found.group is None:
        return kernel * tf.abs(found.sign)
    kernel = tf.maximum(kernel * found.sign, 0.0)  # magnitudes; a weight that changes its sign stops at zero
    largest = tf.cast(found.group == found.count - 1, tf.float32)
    axes = scale_axes(kernel.shape.rank)
    scale = tf.math.divide_no_nan(tf.reduce_sum(kernel * largest, axes), tf.reduce_sum(largest, axes))
    unit = tf.reshape(tf.math.divide_no_nan(kernel, scale), [-1])
    levels = tf.math.unsorted_segment_mean(unit, tf.reshape(found.group, [-1]), found.count)
    levels = tf.concat([tf.clip_by_value(levels[:-1], 0.0, 1.0), [1.0]], axis=0)
    return tf.gather(levels, found.group) * found.sign * scale


def scale_axes(rank: int) -> tuple[int, ...]:
    """The axes of a kernel that share a scale in an int8 file: all but the output channels of a convolution.

    Files of quantisation-aware training have one scale for a dense kernel.

    Args:
        rank: of the kernel.
    """
    return (0, 1) if rank == 2 else tuple(range(rank - 1))


def _largest(values: np.ndarray) -> np.ndarray:
    """What magnitudes are measured by, for broadcasting; 1 where all are zero."""
    largest = np.abs(values).max(axis=scale_axes(values.ndim), keepdims=True)
    return np.where(largest > 0, largest, 1)
