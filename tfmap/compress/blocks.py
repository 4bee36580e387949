"""Blocks of neighbouring weights that become zero together.

tfmot has blocks for two-dimensional kernels only, and fails where a row of blocks is a single one. Here every kernel is
seen as a matrix (window x input channels, output channels), and the blocks at its edges may be smaller.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfmap.compress.legacy import tfmot


def means(kernel: tf.Tensor, block: tuple[int, int]) -> tf.Tensor:
    """Mean magnitude of each block.

    Args:
        kernel: float (..., outputs).
        block: (height, width).

    Returns:
        float (blocks down, blocks across) of the matrix (rest, outputs).
    """
    (height, width), (rows, columns) = block, _matrix(kernel.shape)
    padded = tf.pad(tf.abs(tf.reshape(kernel, (rows, columns))), [[0, -rows % height], [0, -columns % width]])
    down, across = -(-rows // height), -(-columns // width)
    sums = tf.reduce_sum(tf.reshape(padded, (down, height, across, width)), axis=(1, 3))
    counts = np.outer(_sides(rows, height), _sides(columns, width))
    return sums / tf.constant(counts, sums.dtype)


def spread(values: tf.Tensor, block: tuple[int, int], shape: tuple[int, ...]) -> tf.Tensor:
    """A value of each block -> the same value for each of its weights.

    Args:
        values: (blocks down, blocks across).
        block: (height, width).
        shape: of the kernel.
    """
    rows, columns = _matrix(shape)
    matrix = tf.repeat(tf.repeat(values, block[0], axis=0), block[1], axis=1)[:rows, :columns]
    return tf.reshape(matrix, shape)


def wrapped(layer: tf_keras.layers.Layer, schedule: Any, block: tuple[int, int]) -> tf_keras.layers.Layer:
    """tfmot's pruning wrapper around a layer, with masks of whole blocks.

    Args:
        layer: has a kernel.
        schedule: of tfmot.
        block: (height, width).
    """
    return _wrapper()(layer, schedule, block)


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    return int(np.prod(shape[:-1])), int(shape[-1])


def _sides(length: int, side: int) -> np.ndarray:
    """Lengths of the pieces of an edge; the last may be shorter."""
    return np.minimum(side, length - np.arange(0, length, side))


@cache
def _wrapper() -> type:
    """Made at the first call: tfmot is imported late."""
    tfmot()
    from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl, pruning_wrapper

    class BlockPruning(pruning_impl.Pruning):
        """Decides by blocks; when, and how many, is tfmot's business."""

        def _validate_block(self) -> None:
            """Any kernel will do."""

        def _maybe_update_block_mask(self, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            threshold, kept = self._update_mask(means(weights, self._block_size))
            return threshold, spread(kept, self._block_size, weights.shape)

    class PruneBlocks(pruning_wrapper.PruneLowMagnitude):
        """The wrapper with our masks."""

        def __init__(self, layer: tf_keras.layers.Layer, schedule: Any, block: tuple[int, int]) -> None:
            super().__init__(layer, schedule)
            self.block = block

        def build(self, input_shape: Any) -> None:
            super().build(input_shape)
            self.pruning_obj = BlockPruning(
                training_step_fn=lambda: self.pruning_step,
                pruning_vars=self.pruning_vars,
                pruning_schedule=self.pruning_schedule,
                block_size=self.block,
                block_pooling_type="AVG",
            )

    return PruneBlocks
