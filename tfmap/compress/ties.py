"""Weights that stay alike while others learn: the zeros of a pruned kernel, the shared values of a clustered one.

After every step of the optimiser the kernel is put back: a zero to zero, a shared value to its share of the largest
weight of its output channel (of the kernel, in a dense layer), which is free to move: `cluster` says why.
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
        unit: float32, the kernel's shape: shared magnitudes, 1 for the largest of a channel; None ties the zeros alone.
    """

    kernel: tf.Variable
    sign: tf.Tensor
    unit: tf.Tensor | None


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
    unit = np.abs(values) / largest_of(values)
    clustered = _is_clustered(unit)
    if not values.any() or (values.all() and not clustered):
        return None
    return Tie(kernel, tf.constant(np.sign(values)), tf.constant(unit) if clustered else None)


def _is_clustered(magnitude: np.ndarray) -> bool:
    """Whether there are few different ones. Equal numbers differ in their last digits once they have been scaled, so
    groups are told by the gaps between them."""
    levels = np.unique(magnitude)
    starts = np.append(True, np.diff(levels) > _APART)
    spans = levels[np.append(starts[1:], True)] - levels[starts]
    return not (len(spans) > _MOST or 4 * len(spans) > magnitude.size or spans.max() > _APART)


def held(found: Tie, kernel: tf.Tensor) -> tf.Tensor:
    """The nearest kernel that keeps the tie.

    Args:
        found: the tie.
        kernel: float32 (..., output channels), after a step.
    """
    if found.unit is None:
        return kernel * tf.abs(found.sign)
    signed, axes = found.unit * found.sign, scale_axes(kernel.shape.rank)
    # The least squares' answer to what each channel would be times its shares.
    dot, square = tf.reduce_sum(kernel * signed, axes, True), tf.reduce_sum(signed * signed, axes, True)
    return signed * tf.maximum(tf.math.divide_no_nan(dot, square), 0.0)


def scale_axes(rank: int) -> tuple[int, ...]:
    """The axes of a kernel that share a scale in an int8 file: all but the output channels of a convolution.

    Files of quantisation-aware training have one scale for a dense kernel.

    Args:
        rank: of the kernel.
    """
    return (0, 1) if rank == 2 else tuple(range(rank - 1))


def largest_of(values: np.ndarray) -> np.ndarray:
    """What magnitudes of a kernel are measured by, for broadcasting; 1 where all are zero.

    Args:
        values: float32 (..., output channels).
    """
    largest = np.abs(values).max(axis=scale_axes(values.ndim), keepdims=True)
    return np.where(largest > 0, largest, 1)
