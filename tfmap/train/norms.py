"""Batch normalisation by TensorFlow's one kernel for it, while a model learns.

Keras 3 composes it of means, differences and products, each of which walks through the whole tensor, forwards and
backwards; with the kernel, a step of a classifier takes 0.68 to 0.73 of its time on a CPU
(benchmarks/results/norms.json). The numbers are the same but for the rounding of their last bits. The layers themselves
stay Keras' own.

Source: Ioffe and Szegedy, Batch Normalization, 2015, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import keras
import tensorflow as tf

LEAST_EPSILON = 1e-5  # cuDNN takes no smaller one


@contextmanager
def fused(model: keras.Model) -> Iterator[None]:
    """In this context the model's batch normalisations use the kernel where they learn from pictures.

    Args:
        model: its layers and those of the models in it.
    """
    layers = [layer for layer in model._flatten_layers() if _is_fusible(layer)]
    for layer in layers:
        layer.call = MethodType(_call, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


def _is_fusible(layer: Any) -> bool:
    if type(layer) is not keras.layers.BatchNormalization or not layer.built or layer.input_spec.ndim != 4:
        return False
    usual = layer.axis in (-1, 3) and layer.epsilon >= LEAST_EPSILON
    return usual and not (layer.renorm or layer.synchronized)


def _call(layer: keras.layers.BatchNormalization, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """What the layer's own call does."""
    if not (training and layer.trainable) or mask is not None:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    outputs, mean, variance = _normalised(layer, tf.cast(inputs, tf.float32))
    for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + now * (1.0 - layer.momentum))
    return tf.cast(outputs, layer.compute_dtype)


def _normalised(layer: keras.layers.BatchNormalization, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The outputs (B, H, W, C), the mean and the variance (C,) of the batch."""
    channels = x.shape[-1]
    scale = tf.cast(layer.gamma, tf.float32) if layer.scale else tf.ones([channels])
    offset = tf.cast(layer.beta, tf.float32) if layer.center else tf.zeros([channels])
    found = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=[], variance=[], epsilon=layer.epsilon, is_training=True
    )
    count = tf.cast(tf.size(x) // channels, tf.float32)
    # The kernel tells the variance of all pictures, n - 1 in its denominator; Keras keeps that of these, with n.
    return found.y, found.batch_mean, found.batch_variance * (count - 1.0) / count
