"""What watches over a fine-tuning: the best epoch, weights and a loss that are no numbers, the lines of progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from rich.console import Console

from tfmap.compress.walk import bare, called, walk
from tfmap.errors import InputError

Watch = Callable[[str, int, dict[str, float]], None]


class Best(tf_keras.callbacks.Callback):
    """Keeps the weights of the best epoch in memory.

    Args:
        keep_from: first epoch, counted from 0, that may be the best; -1 is the model as it came.
        monitor: "val_accuracy", or "val_loss" of which the lowest is best.
    """

    def __init__(self, keep_from: int, monitor: str) -> None:
        super().__init__()
        self.keep_from, self.monitor = keep_from, monitor
        self.value, self.weights = -math.inf, None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Compare."""
        if epoch < self.keep_from or self.monitor not in (logs or {}):
            return
        value = logs[self.monitor] * (-1 if self.monitor == "val_loss" else 1)
        if value >= self.value:  # of two alike the later one, trained at the lower rate
            self.value, self.weights = value, self.model.get_weights()

    def restore(self) -> None:
        """Put them back."""
        if self.weights is not None:
            self.model.set_weights(self.weights)


def check_finite(model: keras.Model, step: str) -> None:
    """Raise where a step would read weights that are no numbers.

    Args:
        model: a Keras 3 model of one level.
        step: of the recipe.

    Raises:
        InputError: a kernel, or the scale of a norm, holds NaN or inf; the text names its layer.
    """
    read = [(layer, weight) for layer in model.layers for weight in layer.weights]
    for layer, weight in read:
        if weight.name.endswith(("kernel", "gamma")) and not np.isfinite(np.asarray(weight)).all():
            raise InputError(
                f"compress: {step} reads the {weight.name} of layer {layer.name!r}, which holds NaN or inf. Expected "
                "finite weights. Train the model anew at a lower learning rate, or take an earlier checkpoint."
            )


class StopIfNotFinite(tf_keras.callbacks.Callback):
    """Ends a training whose loss is no number any more, and says where the numbers end.

    Args:
        batches: gives batches of training pictures anew.
    """

    def __init__(self, batches: Callable[[], tf.data.Dataset]) -> None:
        super().__init__()
        self.batches = batches

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Look at the loss."""
        what = trouble((logs or {}).get("loss", 0.0), self.model.optimizer)
        if what:
            rate = float(tf.convert_to_tensor(self.model.optimizer.learning_rate))
            images = next(iter(self.batches()))["image"]
            raise InputError(
                f"compress: {what} at batch {batch + 1} (learning rate {rate:.2g}); "
                f"{culprit(self.model, tf.cast(images, tf.float32))}. "
                "Lower compress.learning_rate, and check that the model's own outputs are finite."
            )


def culprit(model: tf_keras.Model, images: tf.Tensor) -> str:
    """The first layer whose output is no number, in words.

    Args:
        model: as it stood before the step that was not taken.
        images: float32 (B, H, W, C), a batch of training pictures.
    """
    if not _is_finite(images):
        return "the pictures themselves are not finite"
    found: list[str] = []

    def visit(layer: Any, args: tuple, kwargs: dict) -> Any:
        outputs = called(layer, args, kwargs)
        if not found and not all(map(_is_finite, tf.nest.flatten(outputs))):
            found.append(bare(layer).name)
        return outputs

    walk(model, images, visit)
    if found:
        return f"the first layer whose output is no number is {found[0]!r}"
    return "every layer is finite on the first batch, so a later picture, its label or the teacher is not"


def _is_finite(values: tf.Tensor) -> bool:
    return not values.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(values)))


class CarefulAdam(tf_keras.optimizers.Adam):
    """Adam that takes no step on a gradient that is no number: else every weight would be none, and nobody could say
    where it began. `StopIfNotFinite` ends the training behind this batch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.skipped = counter()

    def apply_gradients(self, grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
        """Zeros in place of such gradients."""
        gradients, variables = zip(*grads_and_vars, strict=True)
        pairs = zip(careful(gradients, self.skipped), variables, strict=True)
        return super().apply_gradients(list(pairs), *args, **kwargs)


def counter() -> tf.Variable:
    """A number that every replica may add to."""
    shared = {"synchronization": tf.VariableSynchronization.ON_READ, "aggregation": tf.VariableAggregation.SUM}
    return tf.Variable(0.0, trainable=False, **shared)


def careful(gradients: Sequence[Any], skipped: tf.Variable) -> list[Any]:
    """The gradients, or zeros for all of them where one is no number, which is counted.

    Args:
        gradients: tensors, None where a variable has none.
        skipped: a `counter`.
    """
    fine = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients if g is not None])
    skipped.assign_add(tf.where(fine, 0.0, 1.0))
    return [g if g is None else tf.where(fine, g, tf.zeros_like(g)) for g in gradients]


def trouble(loss: float, optimizer: Any) -> str:
    """What is no number any more, in words; "" where all is well. A softmax may hide it from the loss.

    Args:
        loss: of a batch.
        optimizer: with the number of steps that it has `skipped`.
    """
    if not math.isfinite(loss):
        return f"the loss became {loss}"
    return "a gradient became no number" if float(tf.convert_to_tensor(optimizer.skipped)) else ""


class Progress(tf_keras.callbacks.Callback):
    """Tells of every epoch: a line on stderr, and the watcher.

    Args:
        step: of the recipe.
        epochs: how many there will be.
        verbose: print.
        watch: called with (step, epoch from 1, numbers); 0 is the model as it came.
    """

    def __init__(self, step: str, epochs: int, verbose: bool, watch: Watch | None) -> None:
        super().__init__()
        self.step, self.epochs, self.verbose, self.watch = step, epochs, verbose, watch
        self.start = time.monotonic()
        self.console = Console(highlight=False, stderr=True, soft_wrap=True)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self.start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Tell."""
        seconds = time.monotonic() - self.start
        numbers = {key: float(value) for key, value in (logs or {}).items() if key != "lr"}
        if self.watch is not None:
            self.watch(self.step, epoch + 1, {**numbers, "seconds": seconds})
        if self.verbose:
            line = "  ".join(f"{key} {value:.4f}" for key, value in numbers.items())
            self.console.print(f"  {self.step} {epoch + 1:>3}/{self.epochs}  {line}  {seconds:.1f} s")
