"""What a group of channels is worth to a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmap.compress.bridge_copies import in_float32
from tfmap.compress.channels_choice import Cost
from tfmap.compress.channels_groups import Groups
from tfmap.compress.channels_notes import MAKES, READS, Axis
from tfmap.compress.finetune import Feed, example_of
from tfmap.compress.lessons import Lesson
from tfmap.errors import InputError

# Pictures, and how many share one gradient: of a trained model the gradients cancel out over many pictures.
_PICTURES, _TOGETHER = 256, 4


def l1(model: keras.Model, groups: Groups) -> np.ndarray:
    """Mean magnitude of the filters that make a group, relative to its family's.

    Args:
        model: a flat functional model.
        groups: its groups.

    Returns:
        float (G,).

    Source: Li et al., Pruning Filters for Efficient ConvNets, 2017, section 3; Han et al., 2015, for magnitude.
    """

    def magnitude(axis: Axis) -> np.ndarray:
        kernel = np.moveaxis(np.abs(_weight(model, axis)), axis.axis, 0)
        return kernel.reshape(len(kernel), -1).mean(axis=1)

    return _relative(groups, [axis for axis in groups.axes if axis.role == MAKES], magnitude)


def batchnorm(model: keras.Model, groups: Groups) -> np.ndarray:
    """Magnitude of the scales of the batch norms that a group passes, relative to its family's.

    Args:
        model: a flat functional model.
        groups: its groups.

    Returns:
        float (G,), inf where no batch norm with a scale tells.

    Raises:
        InputError: no group that may go passes one.

    Source: Liu et al., Learning Efficient Convolutional Networks through Network Slimming, 2017, section 3.
    """
    axes = [axis for axis in groups.axes if axis.weight == "gamma"]
    worth = _relative(groups, axes, lambda axis: np.abs(_weight(model, axis)))
    if not np.isfinite(worth[groups.family >= 0]).any():
        raise InputError(
            "compress: channels(score='batchnorm') reads the scales of batch norms, and this model has none behind "
            "channels that may go. Take score='taylor' or score='l1'."
        )
    return worth


def taylor(
    model: keras.Model, groups: Groups, feed: Feed, *, multi_label: bool = False, lesson: Lesson | None = None
) -> np.ndarray:
    """How much the loss would change without a group, to first order, per multiply-add that it costs.

    Removing a group is setting to zero what kernels read of it, so the change is the sum of weight times gradient over
    the slices of those kernels; its square, averaged over pictures of the training split. All is done in float32: a
    float16 gradient, whose loss nobody has scaled, would be rounded to zero.

    Args:
        model: a flat functional model of any precision: images, 0..255 -> probabilities (B, K), or the outputs of the
            lesson's network.
        groups: its groups.
        feed: batches; pictures of weight 0 are not looked at.
        multi_label: sigmoid outputs rather than softmax.
        lesson: what is learnt by a model that is no classifier.

    Returns:
        float (G,).

    Raises:
        InputError: a gradient is no number.

    Source: Molchanov et al., Importance Estimation for Neural Network Pruning, 2019, section 3.
    """
    axes = [axis for axis in groups.axes if axis.role == READS]
    loss = lesson.loss if lesson else _entropy(multi_label)
    example = lesson.example if lesson else example_of(model.output_shape[-1])
    change = _change(in_float32(model), axes, len(groups.family), loss)
    pictures = feed.train(0, 0, 1).unbatch().filter(lambda picture: picture["weight"] > 0)
    batches = pictures.batch(_TOGETHER).take(_PICTURES // _TOGETHER)
    strategy = tf.distribute.get_strategy()  # mirrored weights have gradients on a replica alone; all have the same
    replicas = [strategy.experimental_local_results(strategy.run(change, example(batch)[:2])) for batch in batches]
    changes = np.array([one[0] for one in replicas])
    _check_numbers(changes, model.name)
    return np.mean(np.square(changes), axis=0) / np.maximum(Cost(model, groups).saved(), 1.0)


def _check_numbers(changes: np.ndarray, name: str) -> None:
    """Raise where one of (batches, G) is no number: it would rank nothing."""
    wrong = np.count_nonzero(~np.isfinite(changes).all(axis=1))
    if wrong:
        raise InputError(
            f"compress: channels(score='taylor') finds gradients of model {name!r} that are no numbers on {wrong} of "
            f"{len(changes)} batches of training pictures. Expected finite ones: check the model's outputs and the "
            "pictures, or take score='l1', which looks at neither."
        )


def _entropy(multi_label: bool) -> Callable[[Any, Any], Any]:
    return keras.losses.binary_crossentropy if multi_label else keras.losses.categorical_crossentropy


def _change(
    model: keras.Model, axes: list[Axis], number: int, cost: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], np.ndarray]:
    """(images, targets) -> (G,): the first-order change of the loss without each group."""
    kernels = [_variable(model, axis).value for axis in axes]

    @tf.function(autograph=False)
    def change(image: tf.Tensor, targets: Any) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(kernels)
            loss = tf.reduce_mean(cost(targets, model(image, training=False)))
        parts = []
        for kernel, gradient, axis in zip(kernels, tape.gradient(loss, kernels), axes, strict=True):
            others = [i for i in range(kernel.shape.rank) if i != axis.axis]
            parts.append(tf.reduce_sum(tf.cast(kernel, tf.float32) * tf.cast(gradient, tf.float32), axis=others))
        return tf.math.unsorted_segment_sum(
            tf.concat(parts, 0), np.concatenate([axis.channels for axis in axes]), number
        )

    return change


def _relative(groups: Groups, axes: list[Axis], magnitude: Callable[[Axis], np.ndarray]) -> np.ndarray:
    """Mean over the axes, divided by the mean of the family: layers differ in scale, channels of one do not."""
    sums, counts = np.zeros((2, len(groups.family)))
    for axis in axes:
        np.add.at(sums, axis.channels, magnitude(axis))
        np.add.at(counts, axis.channels, 1)
    worth = np.full(len(sums), np.inf)
    np.divide(sums, counts, out=worth, where=counts > 0)
    for family in range(groups.family.max(initial=-1) + 1):
        known = (groups.family == family) & np.isfinite(worth)
        if known.any():
            worth[known] /= max(worth[known].mean(), 1e-12)
    return worth


def _variable(model: keras.Model, axis: Axis) -> keras.Variable:
    return next(weight for weight in model.get_layer(axis.layer).weights if weight.name == axis.weight)


def _weight(model: keras.Model, axis: Axis) -> np.ndarray:
    return np.asarray(_variable(model, axis), np.float32)
