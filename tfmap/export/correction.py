"""Bias correction: what rounding to int8 does to a layer's mean output is taken back in its bias.

A depthwise kernel has nine weights; rounded to steps of 1/127 of the largest, their sum, which a flat region of the
picture is multiplied with, is off by up to a percent, and the batch normalisation behind it may blow that up by a
hundred. A tensor that is stored in 256 levels is off by up to half a level, all of a flat region by the same, and a
channel that uses few of the levels by much of what it says. The mean of both errors is a constant per channel, so a
bias can hold it, at no cost in the file: with it the demo's int8 files agree with Keras on 97 to 98% of the pictures,
without on 83 to 94% (benchmarks/results/compression.json).

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019, section 4.2 and the
appendix on empirical bias correction: the means are measured on pictures. That the activations of the quantised stream
are rounded as well is ours.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmap.export import walk

PICTURES = 64  # enough for a steady mean of each channel; twice as many activations live at a time
NARROW = 4  # kernels of so few input channels, those that see the pixels, keep 8 bits: they are small and matter most
CLIPS = np.linspace(0.4, 1.0, 25)  # shares of the largest weight that a 4-bit grid may end at
# layer -> axes of its kernel that have a scale of their own in an int8 file: those of its output channels
KERNELS = {keras.layers.Conv2D: (3,), keras.layers.DepthwiseConv2D: (2, 3), keras.layers.Dense: (1,)}


class Rounding(NamedTuple):
    """What a file rounds to.

    Attributes:
        kernels: bits of the kernels of convolutions and dense layers; depthwise ones always have 8.
        tensors: bits of the tensors between the layers.
    """

    kernels: int = 8
    tensors: int = 8


INT8 = Rounding()


class Place(NamedTuple):
    """A variable that moves a layer's means, and which way."""

    variable: keras.Variable
    sign: float


def corrected(
    model: keras.Model, pictures: np.ndarray, rounding: Rounding = INT8, *, floats: Collection[str] = ()
) -> keras.Model:
    """A copy of the model that stays closer to the model once its kernels and tensors are rounded.

    Only biases and moving means differ, and kernels of 4 bits, which are on their grid already. Layer by layer from the
    input on, because each is corrected for what the rounded and corrected layers before it give it; all at once does
    not converge.

    Args:
        model: a float32 functional model; of another kind it is returned as it is.
        pictures: uint8 (N, H, W, C), typical inputs, values 0..255; the first 64 are used.
        rounding: of the file that is to be made.
        floats: names of layers that stay in float there.
    """
    if not hasattr(model, "_nodes_by_depth"):
        return model
    copy = walk.copied(model)
    batch = tf.constant(pictures[:PICTURES], tf.float32)
    streams = _Streams(rounding, set(floats))
    # Two streams through one graph: the first half of a batch as it is, the second rounded as in the file.
    walk.walk(copy, tf.concat([batch, batch], axis=0), streams.run)
    streams.apply()
    return copy


class _Streams:
    """A model run on exact and on rounded tensors, and the changes that bring the rounded ones back."""

    def __init__(self, rounding: Rounding, floats: set[str]) -> None:
        self.rounding, self.floats = rounding, floats
        self.shifts: list[tuple[keras.Variable, tf.Tensor]] = []
        self.kernels: list[tuple[keras.Variable, np.ndarray]] = []

    def apply(self) -> None:
        """Make the changes, once all of the model has been run as it was."""
        for variable, shift in self.shifts:
            variable.assign_add(shift)
        for variable, value in self.kernels:
            variable.assign(value)

    def run(self, operation: Any, args: tuple, kwargs: dict) -> Any:
        """An operation on both streams."""
        place = _place(operation)
        outputs = operation(*args, **kwargs) if place is None else self._shifted(operation, args[0], place)
        return (
            outputs
            if _is_fused(operation) or self._is_between_floats(operation)
            else keras.tree.map_structure(self._stored, outputs)
        )

    def _shifted(self, layer: keras.layers.Layer, both: tf.Tensor, place: Place) -> tf.Tensor:
        """The layer on both streams; what rounding did to the means is noted, and taken back."""
        activation, layer.activation = layer.activation, None  # what is corrected comes before it
        exact, rounded = self._both(layer, *tf.split(both, 2))
        layer.activation = activation
        shift = tf.reduce_mean(rounded, range(rounded.ndim - 1)) - tf.reduce_mean(exact, range(exact.ndim - 1))
        self.shifts.append((place.variable, place.sign * shift))
        both = tf.concat([exact, rounded - shift], axis=0)
        return both if activation is None else activation(both)

    def _both(self, layer: keras.layers.Layer, exact: tf.Tensor, rounded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The layer on one input as it is, on the other with its kernel rounded as the file will round it."""
        kernel, bits = layer.kernel.numpy(), self._bits(layer)
        first = layer(exact)
        if layer.name in self.floats:
            return first, layer(rounded)
        grid = _rounded(kernel, KERNELS[type(layer)], bits)
        layer.kernel.assign(grid)
        second = layer(rounded)
        layer.kernel.assign(kernel)
        if bits < 8:
            # An engine takes the largest weight for the end of its grid; on this one it finds the same levels again.
            self.kernels.append((layer.kernel, grid))
        return first, second

    def _is_between_floats(self, operation: Any) -> bool:
        """Whether no integer ever holds what an operation gives."""
        after = {node.operation.name for node in operation._outbound_nodes}
        return operation.name in self.floats and bool(after) and after <= self.floats

    def _bits(self, layer: keras.layers.Layer) -> int:
        """Bits of a layer's kernel in the file."""
        if type(layer) is keras.layers.DepthwiseConv2D or layer.kernel.shape[-2] <= NARROW:
            return 8
        return self.rounding.kernels

    def _stored(self, both: tf.Tensor) -> tf.Tensor:
        """The second stream in the levels that the file keeps a tensor in; the first says between what values."""
        if not both.dtype.is_floating or not both.shape.rank or both.shape[0] % 2:
            return both  # no tensor of pictures, or one that was turned so that they are not its first axis
        exact, rounded = tf.split(both, 2)
        low, high = tf.minimum(tf.reduce_min(exact), 0.0), tf.maximum(tf.reduce_max(exact), 1e-6)
        levels = tf.quantization.fake_quant_with_min_max_vars(rounded, low, high, num_bits=self.rounding.tensors)
        return tf.concat([exact, levels], axis=0)


def _is_fused(operation: Any) -> bool:
    """Whether the converter makes one op of this one and the next, and no tensor between them is ever stored."""
    after = [node.operation for node in operation._outbound_nodes]
    return len(after) == 1 and (
        isinstance(after[0], (keras.layers.ReLU, keras.layers.Dropout))
        or getattr(after[0], "activation", None) is keras.activations.relu
        or (isinstance(after[0], keras.layers.BatchNormalization) and type(operation) in KERNELS)
    )


def _place(operation: Any) -> Place | None:
    """Where a layer's mean can be shifted, and the sign: its bias, or the mean of the normalisation behind it."""
    if type(operation) not in KERNELS or len(operation._inbound_nodes) != 1:
        return None  # a layer that is used twice has two errors and one bias
    if operation.use_bias:
        return Place(operation.bias, -1.0)
    after = [node.operation for node in operation._outbound_nodes]
    if len(after) == 1 and isinstance(after[0], keras.layers.BatchNormalization):
        return Place(after[0].moving_mean, 1.0)
    return None


def _rounded(kernel: np.ndarray, axes: tuple[int, ...], bits: int) -> np.ndarray:
    """On a symmetric grid with a scale per output channel. Normalisation, folded in later, scales a channel as a whole.

    Eight bits reach to the largest weight, as the engines have it. With four, the step that gives the least squared
    error is smaller than that: a few large weights are clipped and all others rounded less.
    """
    others = tuple(axis for axis in range(kernel.ndim) if axis not in axes)
    levels = 2 ** (bits - 1) - 1
    scale = np.abs(kernel).max(axis=others, keepdims=True) / levels
    if bits == 8:
        return _on_grid(kernel, scale, levels)
    tries = np.stack([_on_grid(kernel, clip * scale, levels) for clip in CLIPS])
    errors = np.square(tries - kernel).sum(axis=tuple(axis + 1 for axis in others), keepdims=True)
    return np.take_along_axis(tries, errors.argmin(axis=0, keepdims=True), axis=0)[0]


def _on_grid(kernel: np.ndarray, scale: np.ndarray, levels: int) -> np.ndarray:
    scale = np.where(scale > 0, scale, 1)
    return np.clip(np.round(kernel / scale), -levels, levels) * scale
