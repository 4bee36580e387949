"""Bias correction before the first step: what rounding does to the mean of each channel is taken back.

A kernel of nine weights, rounded, is off by a percent in its sum, and the normalisation behind it may blow that up by a
hundred. Gradient descent would need epochs to find shifts that can be measured on one batch.

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019, section 4.2 and the
appendix on empirical bias correction.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from tfmap.compress.walk import bare, called, walk

L = tf_keras.layers
_KERNELS = (L.Conv2D, L.DepthwiseConv2D, L.Dense)


def correct(model: tf_keras.Model, exact: tf_keras.Model, images: tf.Tensor) -> None:
    """Shift biases and moving means of a model so that its channels have the means of another one.

    Layer by layer from the input on, because each is corrected for what the corrected layers before it give it.

    Args:
        model: with fake quantisers, its ranges known, or without; changed in place.
        exact: the same network without, or with them; layers have the same names.
        images: float32 (B, H, W, C), typical pictures.
    """
    means: dict[str, tf.Tensor] = {}

    def look(layer: Any, args: tuple, kwargs: dict) -> Any:
        outputs = called(layer, args, kwargs)
        if _is_norm(layer):
            means[bare(layer).name] = _mean(args[0])
        elif _has_bias(layer):
            means[bare(layer).name] = _mean(outputs)
        return outputs

    def mend(layer: Any, args: tuple, kwargs: dict) -> Any:
        inner = bare(layer)
        if inner.name not in means:
            return called(layer, args, kwargs)
        if type(inner) is L.BatchNormalization:
            inner.moving_mean.assign_add(_mean(args[0]) - means[inner.name])
        else:
            inner.bias.assign_add(means[inner.name] - _mean(called(layer, args, kwargs)))
        return called(layer, args, kwargs)

    walk(exact, images, look)
    walk(model, images, mend)


def _is_norm(layer: Any) -> bool:
    """Whether it is the norm of channels, used once."""
    inner = bare(layer)
    if type(inner) is not L.BatchNormalization or len(layer.inbound_nodes) != 1:
        return False
    return list(inner.axis) == [len(layer.inbound_nodes[0].input_shapes) - 1]


def _has_bias(layer: Any) -> bool:
    """Whether a shift of its bias is a shift of its output. A layer that is used twice has two errors and one bias."""
    inner = bare(layer)
    if type(inner) not in _KERNELS or len(layer.inbound_nodes) != 1 or not inner.trainable:
        return False
    activation = getattr(inner.activation, "activation", inner.activation)  # without a quantiser around it
    return inner.use_bias and activation is tf_keras.activations.linear


def _mean(values: tf.Tensor) -> tf.Tensor:
    """Of each channel."""
    return tf.reduce_mean(values, axis=range(values.shape.rank - 1))
