"""The moving average of a model's variables, which is what gets validated and kept."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf


class MovingAverage(keras.callbacks.Callback):
    """Keeps an exponential moving average of every floating variable, the statistics of BatchNorm included.

    Validation sees the average, and `finish` leaves it in the model; training itself goes on from the live weights. The
    update runs between steps, outside any replica, so it is the same under every distribution strategy.

    Args:
        net: the model whose variables are averaged.
        momentum: share of the old average that one step keeps, in (0, 1). Early on it is less, min(momentum,
            (1 + t) / (10 + t)), so that the first average is not the starting point.

    Source: Tarvainen and Valpola, Mean Teachers, 2017; the early momentum as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, net: keras.Model, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self._live = [variable.value for variable in net.weights if "float" in str(variable.dtype)]
        self._average = [tf.Variable(variable, trainable=False) for variable in self._live]
        self._steps = tf.Variable(0.0, trainable=False)
        self._swapped = False
        # one graph for one model; as a decorator it would be traced anew, and kept, for every instance
        self._update = tf.function(self._follow)

    def _follow(self) -> None:
        share = 1.0 - tf.minimum(self.momentum, (1.0 + self._steps) / (10.0 + self._steps))
        self._steps.assign_add(1.0)
        for average, live in zip(self._average, self._live, strict=True):
            average.assign_add(tf.cast(share, average.dtype) * (tf.convert_to_tensor(live) - average))

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Follow the step just made."""
        self._update()

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Validate the average."""
        self._swap(True)

    def on_test_end(self, logs: dict | None = None) -> None:
        """Train on from the live weights."""
        self._swap(False)

    def finish(self) -> None:
        """Leave the average in the model, at the end of a phase."""
        self._swap(True)

    def _swap(self, to_average: bool) -> None:
        if self._swapped == to_average:
            return
        for average, live in zip(self._average, self._live, strict=True):
            held = tf.convert_to_tensor(live)
            live.assign(tf.convert_to_tensor(average))
            average.assign(held)
        self._swapped = to_average

    def state(self) -> list[np.ndarray]:
        """What a checkpoint needs; taken while the live weights are in the model."""
        return [self._steps.numpy(), *(average.numpy() for average in self._average)]

    def restore(self, state: list[np.ndarray]) -> None:
        """Go on from a checkpoint."""
        self._steps.assign(state[0])
        for average, value in zip(self._average, state[1:], strict=True):
            average.assign(value)
