"""Distillation: a small network learns from what a large one makes of the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from tfmap.compress import bridge, students
from tfmap.compress.bridge_copies import clone_of, in_float32
from tfmap.compress.finetune import Feed, FineTuning, fine_tune
from tfmap.errors import InputError, did_you_mean

TEMPERATURE = 4.0


def distill(
    model: keras.Model,
    feed: Feed,
    *,
    teacher: keras.Model | None = None,
    temperature: float = TEMPERATURE,
    label_weight: float = 0.5,
    features: Mapping[str, str] | None = None,
    feature_weight: float = 10.0,
    how: FineTuning | None = None,
) -> keras.Model:
    """Train a student on the labels, on its teacher's opinions and, where asked for, on what its layers look at.

    Both are trained in float32, whatever their precision: Keras' Distiller wants them alike.

    Args:
        model: the student, a Keras 3 classifier: images (B, H, W, C), values 0..255 -> probabilities (B, K); or the
            network of how.lesson, which learns its teacher's outputs beside the lesson.
        feed: batches; a picture of weight 0 counts for nothing.
        teacher: a Keras 3 classifier of the same inputs and classes; none given takes that of `how`, in a recipe the
            uncompressed model.
        temperature: softens both opinions, at least 1: what the teacher thinks of the wrong classes begins to count.
        label_weight: share of the labels in the loss, in [0, 1]; the rest is the teacher's.
        features: layer of the student -> layer of the teacher, both of (B, h, w, C), whose maps of attention are to
            agree; heights and widths must be equal, channels need not.
        feature_weight: of that agreement beside the opinions.
        how: the fine-tuning; its teacher_weight does not count here.

    Returns:
        keras.Model: a new model in the student's precision; the student is left as it is.

    Raises:
        InputError: no teacher or one of other inputs or classes, a setting out of range, a layer that is not there or
            whose map has another size, or a loss that is no number any more.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015; Zagoruyko and Komodakis, Paying More
        Attention to Attention, 2017, section 3.1.
    """
    how = how or FineTuning()
    teacher = teacher if teacher is not None else how.teacher
    _check(model, teacher, temperature, label_weight)
    if how.lesson is not None:
        _check_plain(temperature, features)
        legacy = bridge.to_tf_keras(model)
        fine_tune(legacy, feed, replace(how, teacher=teacher, teacher_weight=1 - label_weight), step="distill")
        return bridge.brought_home(legacy, model)
    losses: list[Any] = [SoftLabels(temperature, multi_label=how.multi_label)]
    for ours, theirs in (features or {}).items():
        _check_maps(_map_shape(model, ours, "student"), _map_shape(teacher, theirs, "teacher"))
        losses.append(Attention(ours, theirs))
    weights = [1.0] + [float(feature_weight)] * (len(losses) - 1)
    # In float32 itself: under mixed_float16 Keras would wrap the optimizer, and its count of skipped steps with it.
    distiller = students.Distiller(
        _plain_copy(teacher), _plain_copy(model), losses, weights, float(label_weight), dtype="float32"
    )
    students.fit(distiller, feed, how)
    return _in_precision_of(model, distiller.student)


def _plain_copy(model: keras.Model) -> keras.Model:
    """A copy in float32: Keras' Distiller freezes its teacher and trains its student in place."""
    plain = in_float32(model)
    return clone_of(model) if plain is model else plain


def _in_precision_of(model: keras.Model, trained: keras.Model) -> keras.Model:
    """The trained copy of a model; one in the model's precision, if that is not float32."""
    if in_float32(model) is model:
        return trained
    home = clone_of(model)
    home.set_weights(trained.get_weights())
    return home


class SoftLabels(keras.distillation.DistillationLoss):
    """Divergence of two opinions softened by a temperature, times its square, so that gradients keep their size.

    Keras' own LogitsDistillation wants logits; our models end in probabilities, whose logarithms serve as well.

    Args:
        temperature: at least 1.
        multi_label: independent classes (sigmoid) rather than exclusive ones (softmax).
    """

    def __init__(self, temperature: float, *, multi_label: bool = False) -> None:
        self.temperature, self.multi_label = temperature, multi_label
        self.teacher_layer_name = self.student_layer_name = None

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        """Mean over the batch.

        Args:
            teacher_outputs: probabilities (B, K).
            student_outputs: probabilities (B, K).
            kwargs: of other losses.
        """
        return ops.mean(self.each(teacher_outputs, student_outputs))

    def each(self, teacher_outputs: Any, student_outputs: Any) -> Any:
        """The loss of every example, float32 (B,); arguments as in `compute_loss`."""
        said, given = (self._softened(ops.cast(x, "float32")) for x in (student_outputs, teacher_outputs))
        divergence = ops.sum(given * (ops.log(given) - ops.log(said)), axis=-1)
        divergence = ops.mean(divergence, axis=-1) if self.multi_label else divergence
        return divergence * self.temperature**2

    def _softened(self, probabilities: Any) -> Any:
        """(B, K), or (B, K, 2) of each class and its contrary."""
        p = ops.clip(probabilities, 1e-7, 1.0)
        if self.multi_label:
            p = ops.stack([p, ops.clip(1.0 - probabilities, 1e-7, 1.0)], axis=-1)
        return ops.clip(ops.softmax(ops.log(p) / self.temperature, axis=-1), 1e-7, 1.0)


class Attention(keras.distillation.DistillationLoss):
    """Distance of what two layers look at.

    Args:
        student_layer: its name.
        teacher_layer: its name.
    """

    def __init__(self, student_layer: str, teacher_layer: str) -> None:
        self.student_layer_name, self.teacher_layer_name = student_layer, teacher_layer

    def each(self, teacher_outputs: Any, student_outputs: Any) -> Any:
        """The distance of every example, float32 (B,); arguments as in `attention_distance`."""
        return attention_distance(teacher_outputs, student_outputs)


def attention_distance(teacher: Any, student: Any) -> Any:
    """How far two maps look at different places.

    Args:
        teacher: activations (B, h, w, C).
        student: activations (B, h, w, C'), of the same size.

    Returns:
        float32 (B,): squared distance of the mean squares over channels, each map of length 1; 0 to 4.
    """
    difference = _attention(teacher) - _attention(student)
    return ops.sum(ops.square(difference), axis=-1)


def _attention(features: Any) -> Any:
    """(B, h, w, C) -> (B, h * w) of length 1."""
    energy = ops.mean(ops.square(ops.cast(features, "float32")), axis=-1)
    return ops.normalize(ops.reshape(energy, (-1, energy.shape[1] * energy.shape[2])), axis=-1)


def _check(model: keras.Model, teacher: keras.Model | None, temperature: float, label_weight: float) -> None:
    if teacher is None:
        raise InputError("compress: distill needs a teacher. Pass teacher=, a trained Keras model.")
    for what in ("input_shape", "output_shape"):
        ours, theirs = getattr(model, what), getattr(teacher, what)
        if ours != theirs:
            raise InputError(
                f"compress: distill: the student's {what} is {ours}, its teacher's {theirs}; make them equal."
            )
    if not temperature >= 1:
        raise InputError(f"compress: distill takes a temperature of at least 1, received {temperature!r}.")
    if not 0 <= label_weight <= 1:
        raise InputError(f"compress: distill takes label_weight in [0, 1], received {label_weight!r}.")


def _check_plain(temperature: float, features: Mapping[str, str] | None) -> None:
    if temperature != TEMPERATURE or features:
        raise InputError(
            "compress: distill takes temperature and features for classifiers; boxes and masks learn their teacher's "
            f"outputs as they are, received temperature={temperature!r} and features={features!r}. Leave them out."
        )


def _map_shape(model: keras.Model, name: str, who: str) -> tuple:
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise InputError(f"compress: distill: the {who} has no layer {name!r}.{did_you_mean(name, names)}")
    return tuple(model.get_layer(name).output.shape)


def _check_maps(ours: tuple, theirs: tuple) -> None:
    if len(ours) != 4 or len(theirs) != 4 or ours[1:3] != theirs[1:3] or None in ours[1:3]:
        raise InputError(
            f"compress: distill compares features (B, h, w, C) of equal h and w, received {ours} of the student and "
            f"{theirs} of the teacher."
        )
