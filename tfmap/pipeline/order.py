"""The order of pictures: a pseudo-random permutation of each epoch, by arithmetic.

Nothing is buffered: picture k of epoch e is a function of (seed, e, k), so an order is perfect, costs no memory, and
can be entered at any step without replay.
"""

from __future__ import annotations

import tensorflow as tf

# TensorFlow's default of 4 rounds is weak: the orders of two epochs of 1,000,003 correlate 0.94 over their first
# 100,000 indices. With 16 every correlation measured stays below 0.01.
_ROUNDS = 16


@tf.autograph.experimental.do_not_convert
def shuffled(step: tf.Tensor, *, count: int, batch_size: int, seed: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The rows of training batch `step`, counted over all epochs; what does not fill a batch is left to other epochs.

    Args:
        step: int64 (), from 0.
        count: pictures N in the split, at least `batch_size`.
        batch_size: rows B.
        seed: another seed, another order.

    Returns:
        int64 (B,) rows in [0, N), and int64 () the epoch.
    """
    steps = count // batch_size
    epoch = step // steps
    positions = (step % steps) * batch_size + tf.range(batch_size, dtype=tf.int64)
    rows = tf.raw_ops.RandomIndexShuffle(
        index=positions,
        seed=tf.stack([tf.constant(seed, tf.int64), epoch, tf.constant(0, tf.int64)]),
        max_index=tf.constant(count - 1, tf.int64),
        rounds=_ROUNDS,
    )
    return tf.ensure_shape(rows, (batch_size,)), epoch


@tf.autograph.experimental.do_not_convert
def in_order(step: tf.Tensor, *, count: int, batch_size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The rows of evaluation batch `step`: as they stand, -1 behind the last.

    Returns:
        int64 (B,) rows, and int64 () 0: there is one epoch.
    """
    positions = step * batch_size + tf.range(batch_size, dtype=tf.int64)
    return tf.where(positions < count, positions, -1), tf.constant(0, tf.int64)
