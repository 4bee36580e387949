"""Multiply-adds of a model, counted along its graph."""

from __future__ import annotations

import math

import keras
from keras import layers


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of one forward pass on one picture.

    Counts Conv2D, DepthwiseConv2D, SeparableConv2D, Conv2DTranspose and Dense, nested models included. Biases,
    activations, normalisation, pooling and sums are left out, as published counts do.

    Args:
        model: functional model whose input size is fixed.

    Raises:
        ValueError: the input size is not fixed, so that a layer's output size is unknown.
    """
    return sum(_of_layer(layer) for layer in model.layers)


def _of_layer(layer: keras.layers.Layer) -> int:
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    if isinstance(layer, layers.SeparableConv2D):
        weights = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return weights * _positions(layer, layer.output.shape[1:3])
    if isinstance(layer, layers.Conv2DTranspose):
        return math.prod(layer.kernel.shape) * _positions(layer, layer.input.shape[1:3])
    if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
        return math.prod(layer.kernel.shape) * _positions(layer, layer.output.shape[1:3])
    if isinstance(layer, layers.Dense):
        return math.prod(layer.kernel.shape) * _positions(layer, layer.output.shape[1:-1])
    return 0


def _positions(layer: keras.layers.Layer, sizes: tuple[int | None, ...]) -> int:
    if None in sizes:
        raise ValueError(
            f"multiply_adds needs a fixed input size, but layer {layer.name!r} has output shape {layer.output.shape}. "
            "Build the model with a height and a width."
        )
    return math.prod(sizes)
