"""Rescaling layers as depthwise convolutions of one pixel, for files of int8.

A Rescaling by a factor and an offset becomes MUL and ADD. TensorFlow 2.21's quantiser gives the tensor between them the
range of both sides of the ADD: for pixels / 127.5 - 1 that is -1..2 where 0..2 is used, so of 256 grey levels only 171
are left, before the first convolution has seen them. One depthwise convolution does the same sum in 32 bits.
"""

from __future__ import annotations

import keras
import numpy as np


def folded(model: keras.Model) -> keras.Model:
    """The same model with every Rescaling of pictures by a factor and an offset as a DepthwiseConv2D of the same name.

    A factor alone, or an offset alone, is one op already, and one that the converter may hide in the next.

    Args:
        model: a functional model in float32; without such a layer, or of another kind, it is returned as it is.
    """
    if not any(map(_is_affine, model._flatten_layers())) or not all(map(_is_cloneable, model._flatten_layers())):
        return model
    copy = keras.models.clone_model(model, clone_function=_clone, recursive=True)
    for old, new in zip(_leaves(model), _leaves(copy), strict=True):
        new.set_weights(_weights(old) if _is_affine(old) else old.get_weights())
        if isinstance(new, keras.layers.Normalization):
            new.finalize_state()  # it computes with constants made of its weights
    return copy


def _leaves(model: keras.Model) -> list[keras.layers.Layer]:
    """Layers that are no models, in order."""
    found = []
    for layer in model.layers:
        found += _leaves(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def _is_cloneable(layer: keras.layers.Layer) -> bool:
    """Whether it is a layer, or a model that says what it is made of: a subclass of Model does not."""
    return not isinstance(layer, keras.Model) or type(layer) is keras.Sequential or hasattr(layer, "_nodes_by_depth")


def _is_affine(layer: keras.layers.Layer) -> bool:
    if type(layer) is not keras.layers.Rescaling or len(layer.input.shape) != 4:
        return False
    return bool(np.any(np.asarray(layer.scale) != 1) and np.any(np.asarray(layer.offset) != 0))


def _clone(layer: keras.layers.Layer) -> keras.layers.Layer:
    if _is_affine(layer):
        return keras.layers.DepthwiseConv2D(1, name=layer.name)
    return type(layer).from_config(layer.get_config())


def _weights(layer: keras.layers.Rescaling) -> list[np.ndarray]:
    """Kernel (1, 1, C, 1) and bias (C,)."""
    channels = layer.input.shape[-1]
    scale, offset = (np.broadcast_to(np.asarray(x, np.float32), (channels,)) for x in (layer.scale, layer.offset))
    return [scale.reshape(1, 1, channels, 1), offset.copy()]


def without_normalization(model: keras.Model) -> keras.Model:
    """The same model with every Normalization as a Rescaling of the same name.

    tf2onnx 1.17 leaves the former's mean and variance out, and the file asks for them as further inputs.

    Args:
        model: a functional model in float32; without such a layer, or of another kind, it is returned as it is.
    """
    if not any(map(_is_normalization, model._flatten_layers())) or not all(map(_is_cloneable, model._flatten_layers())):
        return model
    copy = keras.models.clone_model(model, clone_function=_as_rescaling, recursive=True)
    for old, new in zip(_leaves(model), _leaves(copy), strict=True):
        if not _is_normalization(old):
            new.set_weights(old.get_weights())
    return copy


def _is_normalization(layer: keras.layers.Layer) -> bool:
    return type(layer) is keras.layers.Normalization and not layer.invert


def _as_rescaling(layer: keras.layers.Layer) -> keras.layers.Layer:
    if not _is_normalization(layer):
        return type(layer).from_config(layer.get_config())
    mean, variance = (np.asarray(keras.ops.convert_to_numpy(x), np.float32)[0] for x in (layer.mean, layer.variance))
    scale = 1 / np.maximum(np.sqrt(variance), keras.backend.epsilon())
    return keras.layers.Rescaling(scale.tolist(), (-mean * scale).tolist(), name=layer.name)
