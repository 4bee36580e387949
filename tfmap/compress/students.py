"""The training of a student: Keras' Distiller, the batches of `train`, the best epoch kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfmap.compress import bridge
from tfmap.compress.callbacks import Progress, careful, counter, culprit, trouble
from tfmap.compress.finetune import MOMENTUM, Feed, FineTuning, example_of, examples
from tfmap.errors import InputError
from tfmap.train.norms import fused
from tfmap.train.phases import momentum

_END = "final_output"  # Keras' key of a model's outputs among those of its layers


class Distiller(keras.distillation.Distiller):
    """Keras' Distiller, in whose own loss the weights of examples are unused (Keras 3.15).

    Its losses have a method `each` besides: (teacher's, student's outputs) -> (B,).
    """

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Weighted losses of labels and of opinions, summed up and divided by the size of the batch.

        Args:
            x: float32 (B, H, W, C).
            y: float32 (B, K).
            y_pred: probabilities (B, K) of the student.
            sample_weight: float32 (B,); an example of weight 0 counts for nothing. None weighs all alike.
            training: whether the student's norms and dropouts behave as in training.
        """
        weight = 1.0 if sample_weight is None else sample_weight
        labels = ops.mean(weight * self._student_loss(y, y_pred))
        opinions = ops.mean(weight * self._opinions(x, y_pred, training))
        total = self.student_loss_weight * labels + (1 - self.student_loss_weight) * opinions
        self.student_loss_tracker.update_state(labels)
        self.distillation_loss_tracker.update_state(opinions)
        self.total_loss_tracker.update_state(total)
        return total / tf.distribute.get_strategy().num_replicas_in_sync  # whose gradients are added

    def _opinions(self, x: Any, y_pred: Any, training: bool) -> Any:
        """How far the student is from its teacher, by all losses together, (B,)."""
        if self.student_loss_weight == 1:  # nobody asks the teacher
            return ops.zeros_like(y_pred[:, 0])
        theirs, ours = self._extract_all_teacher_features(x), {}
        if self._student_feature_extractor is not None:
            ours = self._student_feature_extractor(x, training=training)
        ours = {**ours, _END: y_pred}
        pairs = zip(self.distillation_losses, self.distillation_loss_weights, strict=True)
        return sum(
            weight * loss.each(theirs[loss.teacher_layer_name or _END], ours[loss.student_layer_name or _END])
            for loss, weight in pairs
        )


def fit(distiller: Distiller, feed: Feed, how: FineTuning) -> None:
    """Train the student and leave the weights of its best epoch in it.

    Args:
        distiller: not yet compiled.
        feed: batches.
        how: epochs, rate, augmentation; the teacher is the distiller's.

    Raises:
        InputError: the loss is no number any more; the text names the layer where the numbers end, where the student
            can be bridged.
    """
    classes, validation = distiller.student.output_shape[-1], feed.val()
    _compile(distiller, how, steps=feed.steps * how.epochs)
    watching: list[keras.callbacks.Callback] = [_StopIfNotFinite(feed), _Told(how)]
    if validation is not None:
        validation = validation.map(example_of(classes))
        monitor, mode = ("val_loss", "min") if how.multi_label else ("val_accuracy", "max")
        best = {"patience": how.epochs, "restore_best_weights": True, "mode": mode}
        watching.append(keras.callbacks.EarlyStopping(monitor, **best))
    with momentum(distiller.student, MOMENTUM), fused(distiller.student):
        distiller.fit(
            examples(feed, replace(how, teacher=None), example_of(classes)),
            steps_per_epoch=feed.steps,
            epochs=how.epochs,
            validation_data=validation,
            callbacks=watching,
            shuffle=False,  # they come shuffled
            verbose=0,
        )


def _compile(distiller: Distiller, how: FineTuning, *, steps: int) -> None:
    warmup = max(1, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        how.learning_rate / 100, max(1, steps - warmup), warmup_target=how.learning_rate, warmup_steps=warmup
    )
    loss = (keras.losses.BinaryCrossentropy if how.multi_label else keras.losses.CategoricalCrossentropy)(
        reduction="none"
    )
    accuracy = keras.metrics.BinaryAccuracy if how.multi_label else keras.metrics.CategoricalAccuracy
    distiller.compile(CarefulAdam(rate, clipnorm=1.0), loss, weighted_metrics=[accuracy(name="accuracy")])
    _make_variables(distiller)


def _make_variables(distiller: Distiller) -> None:
    """Before the first step: one that makes variables is traced a second time without."""
    distiller.optimizer.build(distiller.trainable_variables)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return  # what is counted on each replica cannot be counted on none
    nothing = ops.zeros((1, distiller.student.output_shape[-1]))
    distiller.compute_metrics(None, nothing, nothing, ops.ones((1,)))
    distiller.reset_metrics()


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
            raise InputError(
                f"compress: distill: {what} at batch {batch + 1}; {self._where()}. "
                "Lower compress.learning_rate, and check that the teacher's outputs are finite."
            )

    def _where(self) -> str:
        """The layer at fault, in words; the search goes through a copy in Keras 2, which not every student has."""
        try:
            legacy = bridge.to_tf_keras(self.model.student)
        except InputError:
            return "which layer began cannot be told of a student that cannot be carried to Keras 2"
        images = next(iter(self.feed.train(0, 0, 1)))["image"]
        return culprit(legacy, tf.cast(images, tf.float32))


class _Told(keras.callbacks.Callback):
    """Tells of every epoch, as the other steps do."""

    def __init__(self, how: FineTuning) -> None:
        super().__init__()
        self.told = Progress("distill", how.epochs, how.verbose, how.watch)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.told.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.told.on_epoch_end(epoch, logs)
