"""The short training after a model was pruned or quantised: tf_keras' fit on the batches that `train` uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import tensorflow as tf
import tf_keras

from tfmap.compress.callbacks import Best, CarefulAdam, Progress, StopIfNotFinite
from tfmap.compress.lessons import Lesson, teach
from tfmap.errors import InputError

MOMENTUM = 0.9  # of the statistics of norms
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
        batchnorm: "live" lets norms follow the batches; "frozen" leaves them as they came.
        multi_label: independent classes (sigmoid) rather than exclusive ones (softmax).
        lesson: what a network learns that is no classifier.
        seed: of the augmentation.
        verbose: print a line an epoch.
        watch: called with (step, epoch from 1, numbers) after every epoch; epoch 0 is the model as it came.
    """

    epochs: int = 4
    learning_rate: float = 1e-3
    teacher: keras.Model | None = None
    teacher_weight: float = 0.5
    policy: Policy | None = None
    batchnorm: str = "live"
    multi_label: bool = False
    lesson: Lesson | None = None
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
        if self.batchnorm not in ("live", "frozen"):
            raise InputError(f"compress.batchnorm must be live or frozen, received {self.batchnorm!r}.")


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

    Best is the highest validation accuracy (lowest validation loss for several labels a picture, and for what is no
    classifier); without validation data it is the last epoch.

    Args:
        model: tf_keras model of float32 images (B, H, W, C), values 0..255 -> probabilities (B, K), or the outputs of
            the lesson's network.
        feed: batches.
        how: settings.
        callbacks: of tfmot.
        keep_from: first epoch, counted from 0, that may be the best: earlier ones are not sparse enough yet. -1: the
            model as it comes may be it, so that training does not end below where it began.
        step: its name, for the progress lines.

    Raises:
        InputError: the loss is no number any more; the text names the layer where the numbers end.
    """
    (_freeze_norms if how.batchnorm == "frozen" else _quicken_norms)(model)
    callbacks = [*_compile(model, how, steps=feed.steps * how.epochs), *callbacks]
    best = Best(keep_from, "val_loss" if how.multi_label or how.lesson else "val_accuracy")
    told = Progress(step, how.epochs, how.verbose, how.watch)
    example = how.lesson.example if how.lesson else example_of(model.output_shape[-1])
    validation = feed.val()
    if validation is not None:
        validation = validation.map(example)
        if keep_from < 0:
            _score_start(model, validation, [*callbacks, best, told])
    model.fit(
        examples(feed, how, example),
        steps_per_epoch=feed.steps,
        epochs=how.epochs,
        validation_data=validation,
        callbacks=[*callbacks, StopIfNotFinite(lambda: feed.train(0, 0, 1)), best, told],
        verbose=0,
    )
    best.restore()


def _score_start(model: tf_keras.Model, validation: tf.data.Dataset, callbacks: list) -> None:
    """Validate the model as it is: to those who watch, the epoch before the first."""
    watching = tf_keras.callbacks.CallbackList(callbacks, model=model)
    watching.on_epoch_begin(-1)
    numbers = model.evaluate(validation, callbacks=watching, return_dict=True, verbose=0)
    watching.on_epoch_end(-1, {f"val_{key}": value for key, value in numbers.items()})


def _quicken_norms(model: tf_keras.Model) -> None:
    """Have the statistics of norms keep up: Keras' 0.99 remembers 100 batches, more than a short training has.

    Measured on sample:trash, 28 batches an epoch, six epochs of pruning: 70.0% with 0.99, 83.3% with 0.9.
    """
    for norm in _norms(model):
        norm.momentum = min(norm.momentum, MOMENTUM)


def _freeze_norms(model: tf_keras.Model) -> None:
    """Leave norms as they are, statistics, scale and shift.

    Those that training kept frozen hold the statistics of the pictures that the backbone came with, and batches here
    have others: one epoch with live norms on sample:trash took MobileNetV2 from 87% to 49% of the validation pictures.
    """
    for norm in _norms(model):
        norm.trainable = False


def _norms(model: tf_keras.Model) -> list[tf_keras.layers.BatchNormalization]:
    bare = [getattr(layer, "layer", layer) for layer in model.layers]
    return [layer for layer in bare if isinstance(layer, tf_keras.layers.BatchNormalization)]


def _compile(model: tf_keras.Model, how: FineTuning, *, steps: int) -> list[tf_keras.callbacks.Callback]:
    """Make it ready to learn; the callbacks that it needs for that."""
    warmup = max(1, steps // 10)
    rate = tf_keras.optimizers.schedules.CosineDecay(
        how.learning_rate / 100, max(1, steps - warmup), warmup_target=how.learning_rate, warmup_steps=warmup
    )
    adam = CarefulAdam(rate, clipnorm=1.0)
    if how.lesson is not None:
        return [teach(model, how.lesson, adam, how.teacher_weight if how.teacher is not None else 0.0)]
    loss = tf_keras.losses.BinaryCrossentropy() if how.multi_label else tf_keras.losses.CategoricalCrossentropy()
    accuracy = tf_keras.metrics.BinaryAccuracy if how.multi_label else tf_keras.metrics.CategoricalAccuracy
    model.compile(adam, loss, weighted_metrics=[accuracy(name="accuracy")])
    _make_variables(model)
    return []


def _make_variables(model: tf_keras.Model) -> None:
    """Before the first step: one that makes variables is traced a second time without."""
    model.optimizer.build(model.trainable_variables)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return  # what is counted on each replica cannot be counted on none
    nothing, all_of_it = tf.zeros([1, model.output_shape[-1]]), tf.ones([1])
    model.compiled_loss(nothing, nothing, all_of_it)
    model.compiled_metrics.update_state(nothing, nothing, all_of_it)
    model.reset_metrics()


def examples(feed: Feed, how: FineTuning, example: Callable[[dict], tuple]) -> tf.data.Dataset:
    """Training examples of all epochs, augmented, the teacher's opinion mixed into the labels.

    Cross-entropy is linear in its targets, so mixed targets are the mixed losses of plain distillation.

    Args:
        feed: batches.
        how: says the epochs, the augmentation, the teacher and the lesson.
        example: batch -> (image, targets, weight): see `example_of`.

    Returns:
        (image float32 (B, H, W, C), targets float32 (B, K), weight float32 (B,)) a batch; with a lesson the targets are
            (what is there, the teacher's outputs).
    """

    def prepare(number: tf.Tensor, batch: dict) -> tuple[tf.Tensor, Any, tf.Tensor]:
        if how.policy is not None:
            batch = how.policy(batch, tf.stack([how.seed, tf.cast(number, tf.int32)]))
        image, targets, weight = example(batch)
        asked = how.teacher is not None and how.teacher_weight
        opinion = how.teacher(image, training=False) if asked else ()
        if how.lesson is not None:
            return image, (targets, opinion), weight
        if asked:
            targets = targets + how.teacher_weight * (tf.cast(opinion, tf.float32) - targets)
        return image, targets, weight

    return feed.train(0, 0, how.epochs).enumerate().map(prepare, num_parallel_calls=2).prefetch(2)


def example_of(classes: int) -> Callable[[dict], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """batch -> (image float32 (B, H, W, C), targets float32 (B, K), weight float32 (B,))."""

    def example(batch: dict) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        label = batch["label"]
        targets = tf.one_hot(label, classes) if label.shape.rank == 1 else tf.cast(label, tf.float32)
        return tf.cast(batch["image"], tf.float32), targets, batch["weight"]

    return example
