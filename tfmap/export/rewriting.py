"""Layers in another form of the same sum, for files that lose or refuse the usual one.

Two for integers: a Rescaling by a factor and an offset becomes MUL and ADD. TensorFlow 2.21's quantiser gives the
tensor between them the range of both sides of the ADD: for pixels / 127.5 - 1 that is -1..2 where 0..2 is used, so of
256 grey levels only 171 are left, before the first convolution has seen them. A subtraction is enough where the
convolutions behind it can carry the factor (see `folding`); elsewhere one depthwise convolution does the same sum in 32
bits. And a LayerNormalization becomes, among others, NEG, for which there is no kernel in integers.

One for every file: Keras repeats rows, then columns, to enlarge a map by its nearest neighbours, which is six ops of
which some are in no delegate; there is one op for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from tfmap.centred import CentredNormalization
from tfmap.export import folding


class Rewriting(NamedTuple):
    """A layer in another form.

    Attributes:
        applies: to a layer.
        new: layer -> the layer that takes its place, of the same name.
        weights: layer -> what the new one's weights are.
    """

    applies: Callable[[keras.Layer], bool]
    new: Callable[[Any], keras.Layer]
    weights: Callable[[Any], list[np.ndarray]]


def for_integers(model: keras.Model) -> keras.Model:
    """The same model with layers that a file of integers can hold: see above.

    Args:
        model: a functional model in float32; without such a layer, or of another kind, it is returned as it is.
    """
    folded = folding.foldable(model)
    scales = {id(reader): layer.scale for layer, readers in folded.items() for reader in readers}
    mean = Rewriting(folded.__contains__, _as_mean, lambda layer: [])
    carrier = Rewriting(
        lambda layer: id(layer) in scales, _same, lambda layer: folding.kernel_first(_own(layer), scales[id(layer)])
    )
    depthwise = Rewriting(_is_affine, lambda layer: keras.layers.DepthwiseConv2D(1, name=layer.name), _kernel_and_bias)
    centred = Rewriting(_is_layer_norm, lambda layer: CentredNormalization.from_config(layer.get_config()), _own)
    return _rewritten(model, [depthwise, centred, mean, carrier])


def for_files(model: keras.Model) -> keras.Model:
    """The same model with one op for each enlargement by nearest neighbours.

    Args:
        model: a functional model in float32; without such a layer, or of another kind, it is returned as it is.
    """
    return _rewritten(model, [Rewriting(_repeats, Enlargement.of, lambda layer: [])])


def without_normalization(model: keras.Model) -> keras.Model:
    """The same model with every Normalization as a Rescaling of the same name.

    tf2onnx 1.17 leaves the former's mean and variance out, and the file asks for them as further inputs.

    Args:
        model: a functional model in float32; without such a layer, or of another kind, it is returned as it is.
    """
    return _rewritten(model, [Rewriting(_is_normalization, _as_rescaling, lambda layer: [])])


class Subtraction(keras.layers.Layer):
    """What is subtracted from pictures.

    Args:
        mean: a number, or one for each channel.
    """

    def __init__(self, mean: float | list[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean = mean

    def call(self, inputs: Any) -> Any:
        """Float32 (B, H, W, C) -> the same."""
        return inputs - ops.convert_to_tensor(self.mean, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """For clones."""
        return {**super().get_config(), "mean": self.mean}


class Enlargement(keras.layers.UpSampling2D):
    """UpSampling2D by nearest neighbours, in one op where the map's size is known."""

    @classmethod
    def of(cls, layer: keras.layers.UpSampling2D) -> Enlargement:
        """In the place of a layer."""
        return cls.from_config(layer.get_config())

    def call(self, inputs: Any) -> Any:
        """Float32 (B, h, w, C) -> (B, h * size[0], w * size[1], C)."""
        height, width = inputs.shape[1:3]
        if height is None or width is None:
            return super().call(inputs)
        return ops.image.resize(inputs, (height * self.size[0], width * self.size[1]), interpolation="nearest")


def _repeats(layer: keras.Layer) -> bool:
    if type(layer) is not keras.layers.UpSampling2D:
        return False
    return layer.interpolation == "nearest" and layer.data_format == "channels_last"


def _rewritten(model: keras.Model, rewritings: list[Rewriting]) -> keras.Model:
    """A copy, or the model itself where nothing applies."""
    found = {id(layer): way for way in rewritings for layer in _leaves(model) if way.applies(layer)}
    if not found or not all(map(_is_cloneable, model._flatten_layers())):
        return model

    def clone(layer: keras.Layer) -> keras.Layer:
        return found[id(layer)].new(layer) if id(layer) in found else _same(layer)

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    for old, new in zip(_leaves(model), _leaves(copy), strict=True):
        new.set_weights(found[id(old)].weights(old) if id(old) in found else _own(old))
        if isinstance(new, keras.layers.Normalization):
            new.finalize_state()  # it computes with constants made of its weights
    return copy


def _same(layer: keras.Layer) -> keras.Layer:
    return type(layer).from_config(layer.get_config())


def _own(layer: keras.Layer) -> list[np.ndarray]:
    return layer.get_weights()


def _leaves(model: keras.Model) -> list[keras.Layer]:
    """Layers that are no models, in order."""
    found = []
    for layer in model.layers:
        found += _leaves(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def _is_cloneable(layer: keras.Layer) -> bool:
    """Whether it is a layer, or a model that says what it is made of: a subclass of Model does not."""
    return not isinstance(layer, keras.Model) or type(layer) is keras.Sequential or hasattr(layer, "_nodes_by_depth")


def _as_mean(layer: keras.layers.Rescaling) -> keras.Layer:
    """What is left of a Rescaling without its factor."""
    mean = -np.asarray(layer.offset, np.float64) / np.asarray(layer.scale, np.float64)
    return Subtraction(mean.tolist(), name=layer.name) if np.any(mean) else keras.layers.Identity(name=layer.name)


def _is_affine(layer: keras.Layer) -> bool:
    if type(layer) is not keras.layers.Rescaling or len(layer.input.shape) != 4:
        return False
    return bool(np.any(np.asarray(layer.scale) != 1) and np.any(np.asarray(layer.offset) != 0))


def _kernel_and_bias(layer: keras.layers.Rescaling) -> list[np.ndarray]:
    """Of a depthwise convolution: (1, 1, C, 1) and (C,)."""
    channels = layer.input.shape[-1]
    scale, offset = (np.broadcast_to(np.asarray(x, np.float32), (channels,)) for x in (layer.scale, layer.offset))
    return [scale.reshape(1, 1, channels, 1), offset.copy()]


def _is_layer_norm(layer: keras.Layer) -> bool:
    return type(layer) is keras.layers.LayerNormalization


def _is_normalization(layer: keras.Layer) -> bool:
    return type(layer) is keras.layers.Normalization and not layer.invert


def _as_rescaling(layer: keras.layers.Normalization) -> keras.Layer:
    mean, variance = (np.asarray(ops.convert_to_numpy(x), np.float32)[0] for x in (layer.mean, layer.variance))
    scale = 1 / np.maximum(np.sqrt(variance), keras.backend.epsilon())
    return keras.layers.Rescaling(scale.tolist(), (-mean * scale).tolist(), name=layer.name)
