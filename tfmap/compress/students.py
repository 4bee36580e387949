"""The training of a student: Keras' Distiller, the batches of `train`, the best epoch kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from tfmap.compress import bridge
from tfmap.compress.callbacks import Progress, careful, counter, culprit, trouble
from tfmap.compress.finetune import Feed, FineTuning, example_of, examples
from tfmap.errors import InputError


def fit(distiller: keras.distillation.Distiller, feed: Feed, how: FineTuning) -> None:
    """Train the student and leave the weights of its best epoch in it.

    Args:
        distiller: not yet compiled.
        feed: batches.
        how: epochs, rate, augmentation; the teacher is the distiller's.

    Raises:
        InputError: the loss is no number any more; the text names the layer where the numbers end.
    """
    classes, validation = distiller.student.output_shape[-1], feed.val()
    _compile(distiller, how, steps=feed.steps * how.epochs)
    watching: list[keras.callbacks.Callback] = [_StopIfNotFinite(feed), _Told(how)]
    if validation is not None:
        validation = validation.map(example_of(classes))
        monitor, mode = ("val_loss", "min") if how.multi_label else ("val_accuracy", "max")
        best = {"patience": how.epochs, "restore_best_weights": True, "mode": mode}
        watching.append(keras.callbacks.EarlyStopping(monitor, **best))
    distiller.fit(
        examples(feed, replace(how, teacher=None), classes=classes),
        steps_per_epoch=feed.steps,
        epochs=how.epochs,
        validation_data=validation,
        callbacks=watching,
        shuffle=False,  # they come shuffled
        verbose=0,
    )


def _compile(distiller: keras.distillation.Distiller, how: FineTuning, *, steps: int) -> None:
    warmup = max(1, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        how.learning_rate / 100, max(1, steps - warmup), warmup_target=how.learning_rate, warmup_steps=warmup
    )
    loss = keras.losses.BinaryCrossentropy() if how.multi_label else keras.losses.CategoricalCrossentropy()
    accuracy = keras.metrics.BinaryAccuracy if how.multi_label else keras.metrics.CategoricalAccuracy
    distiller.compile(CarefulAdam(rate, clipnorm=1.0), loss, weighted_metrics=[accuracy(name="accuracy")])


class CarefulAdam(keras.optimizers.Adam):
    """Adam that takes no step on a gradient that is no number, so that the layer at fault can still be found."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.skipped = counter()

    def apply(self, grads: list, trainable_variables: list | None = None) -> Any:
        """Zeros in place of such gradients."""
        return super().apply(careful(grads, self.skipped), trainable_variables)


class _StopIfNotFinite(keras.callbacks.Callback):
    """Ends a training whose loss is no number any more."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.feed = feed

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        what = trouble((logs or {}).get("loss", 0.0), self.model.optimizer)
        if what:
            images = next(iter(self.feed.train(0, 0, 1)))["image"]
            where = culprit(bridge.to_tf_keras(self.model.student), tf.cast(images, tf.float32))
            raise InputError(
                f"compress: distill: {what} at batch {batch + 1}; {where}. "
                "Lower compress.learning_rate, and check that the teacher's outputs are finite."
            )


class _Told(keras.callbacks.Callback):
    """Tells of every epoch, as the other steps do."""

    def __init__(self, how: FineTuning) -> None:
        super().__init__()
        self.told = Progress("distill", how.epochs, how.verbose, how.watch)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.told.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.told.on_epoch_end(epoch, logs)
