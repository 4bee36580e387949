"""The short training after a model was pruned or quantised: tf_keras' fit on the batches that `train` uses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import tensorflow as tf
import tf_keras
from rich.console import Console

from tfmap.errors import InputError

_MOMENTUM = 0.9
Policy = Callable[[dict, Any], dict]


class Feed(Protocol):
    """What `tfmap.train.feed.Feed` offers: batches are dicts of "image", "label" and "weight"."""

    steps: int

    def train(self, epoch: int, step: int, epochs: int) -> tf.data.Dataset:
        """Training batches of `epochs` epochs."""

    def val(self) -> tf.data.Dataset | None:
        """Validation batches, or None."""


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune.

    Attributes:
        epochs: at least 1.
        learning_rate: highest rate of Adam; a tenth of the steps warm up, then a cosine falls to zero.
        teacher: the model before compression; its probabilities are mixed into the labels.
        teacher_weight: share of the teacher in the targets, in [0, 1].
        policy: augmentation (batch, seed) -> batch.
        multi_label: independent classes (sigmoid) rather than exclusive ones (softmax).
        seed: of the augmentation.
        verbose: print a line an epoch.
        watch: called with (step, epoch from 1, numbers) after every epoch.
    """

    epochs: int = 4
    learning_rate: float = 1e-3
    teacher: keras.Model | None = None
    teacher_weight: float = 0.5
    policy: Policy | None = None
    multi_label: bool = False
    seed: int = 0
    verbose: bool = True
    watch: Callable[[str, int, dict[str, float]], None] | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"compress.epochs must be a whole number of at least 1, received {self.epochs!r}.")
        if not self.learning_rate > 0:
            raise InputError(f"compress.learning_rate must be above 0, received {self.learning_rate!r}.")
        if not 0 <= self.teacher_weight <= 1:
            raise InputError(f"compress.teacher_weight must be in [0, 1], received {self.teacher_weight!r}.")


def fine_tune(
    model: tf_keras.Model,
    feed: Feed,
    how: FineTuning,
    *,
    callbacks: Sequence[tf_keras.callbacks.Callback] = (),
    keep_from: int = 0,
    step: str = "fine-tune",
) -> None:
    """Train in place and leave the weights of the best epoch in the model.

    Best is the highest validation accuracy (lowest validation loss for several labels a picture); without validation
    data it is the last epoch.

    Args:
        model: tf_keras model of float32 images (B, H, W, C), values 0..255 -> probabilities (B, K).
        feed: batches.
        how: settings.
        callbacks: of tfmot.
        keep_from: first epoch, counted from 0, that may be the best: earlier ones are not sparse enough yet.
        step: its name, for the progress lines.

    Raises:
        InputError: the loss is no number any more.
    """
    _quicken_norms(model)
    _compile(model, how, steps=feed.steps * how.epochs)
    validation = feed.val()
    best = _Best(keep_from, "val_loss" if how.multi_label else "val_accuracy")
    model.fit(
        _training(feed, how, classes=model.output_shape[-1]),
        steps_per_epoch=feed.steps,
        epochs=how.epochs,
        validation_data=None if validation is None else validation.map(_example(model.output_shape[-1])),
        callbacks=[*callbacks, _StopIfNotFinite(), best, _Progress(step, how)],
        verbose=0,
    )
    best.restore()


def _quicken_norms(model: tf_keras.Model) -> None:
    """Have the statistics of norms keep up: Keras' 0.99 remembers 100 batches, more than a short training has.

    Measured on sample:trash, 28 batches an epoch, six epochs of pruning: 70.0% with 0.99, 83.3% with 0.9.
    """
    for layer in model.layers:
        norm = getattr(layer, "layer", layer)
        if isinstance(norm, tf_keras.layers.BatchNormalization):
            norm.momentum = min(norm.momentum, _MOMENTUM)


def _compile(model: tf_keras.Model, how: FineTuning, *, steps: int) -> None:
    warmup = max(1, steps // 10)
    rate = tf_keras.optimizers.schedules.CosineDecay(
        how.learning_rate / 100, max(1, steps - warmup), warmup_target=how.learning_rate, warmup_steps=warmup
    )
    loss = tf_keras.losses.BinaryCrossentropy() if how.multi_label else tf_keras.losses.CategoricalCrossentropy()
    accuracy = tf_keras.metrics.BinaryAccuracy if how.multi_label else tf_keras.metrics.CategoricalAccuracy
    model.compile(tf_keras.optimizers.Adam(rate, clipnorm=1.0), loss, weighted_metrics=[accuracy(name="accuracy")])


def _training(feed: Feed, how: FineTuning, *, classes: int) -> tf.data.Dataset:
    """(image, targets, weight): augmented, the teacher's opinion mixed into the labels.

    Cross-entropy is linear in its targets, so mixed targets are the mixed losses of plain distillation.
    """
    example = _example(classes)

    def prepare(number: tf.Tensor, batch: dict) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        if how.policy is not None:
            batch = how.policy(batch, tf.stack([how.seed, tf.cast(number, tf.int32)]))
        image, targets, weight = example(batch)
        if how.teacher is not None and how.teacher_weight:
            opinion = tf.cast(how.teacher(image, training=False), tf.float32)
            targets = targets + how.teacher_weight * (opinion - targets)
        return image, targets, weight

    return feed.train(0, 0, how.epochs).enumerate().map(prepare, num_parallel_calls=2).prefetch(2)


def _example(classes: int) -> Callable[[dict], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """batch -> (image float32 (B, H, W, C), targets float32 (B, K), weight float32 (B,))."""

    def example(batch: dict) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        label = batch["label"]
        targets = tf.one_hot(label, classes) if label.shape.rank == 1 else tf.cast(label, tf.float32)
        return tf.cast(batch["image"], tf.float32), targets, batch["weight"]

    return example


class _Best(tf_keras.callbacks.Callback):
    """Keeps the weights of the best epoch in memory."""

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


class _StopIfNotFinite(tf_keras.callbacks.Callback):
    """Ends a training whose loss is no number any more, with a word on what to do."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            rate = float(tf.convert_to_tensor(self.model.optimizer.learning_rate))
            raise InputError(
                f"compress: the loss became {loss} at batch {batch + 1} (learning rate {rate:.2g}). "
                "Lower compress.learning_rate, and check that the model's own outputs are finite."
            )


class _Progress(tf_keras.callbacks.Callback):
    """Tells of every epoch: a line on stderr, and the watcher."""

    def __init__(self, step: str, how: FineTuning) -> None:
        super().__init__()
        self.step, self.how, self.start = step, how, 0.0
        self.console = Console(highlight=False, stderr=True, soft_wrap=True)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self.start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Tell."""
        seconds = time.monotonic() - self.start
        numbers = {key: float(value) for key, value in (logs or {}).items() if key != "lr"}
        if self.how.watch is not None:
            self.how.watch(self.step, epoch + 1, {**numbers, "seconds": seconds})
        if self.how.verbose:
            line = "  ".join(f"{key} {value:.4f}" for key, value in numbers.items())
            self.console.print(f"  {self.step} {epoch + 1:>3}/{self.how.epochs}  {line}  {seconds:.1f} s")
