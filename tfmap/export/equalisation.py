"""Equalisation: a channel that is narrow beside its tensor is widened before a depthwise convolution, which undoes it.

An int8 tensor has one step for all of its channels. One that goes no further than a 300th of the widest rounds to the
same number for every picture, and with it what the depthwise convolution behind makes of it. Times a factor it uses
the levels that are there anyway; the factor is taken back in the kernel, which has a scale for each channel, so that
nothing is rounded more for it.

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019, section 4.1, where
ranges are estimated from weights and shared between two layers. Here they are measured on pictures, and only the
layers that pay nothing for it are equalised.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfmap.export import folding, walk, wiring

L = keras.layers
AT_ONCE = 16  # pictures
# Other pictures may go twice as far as those that were measured before an activation such as ReLU6 clips them.
HEADROOM = 2.0
MOST = 256.0  # a channel that says less than one level of its tensor uses half of the levels then
_CONVOLUTIONS = (L.Conv2D, L.DepthwiseConv2D)
# f(s x) = s f(x) for s > 0, those that clip from above until they do
_SCALABLE = (keras.activations.linear, keras.activations.relu, keras.activations.relu6, keras.activations.leaky_relu)
_PASSING = (L.ReLU, L.LeakyReLU, L.ZeroPadding2D, L.Dropout)


class Chain(NamedTuple):
    """What gives a tensor its scale, and the depthwise convolution that alone reads it.

    Attributes:
        giver: a BatchNormalization, or a convolution without one.
        reader: the depthwise convolution.
    """

    giver: keras.layers.Layer
    reader: keras.layers.DepthwiseConv2D


def equalised(model: keras.Model, pictures: np.ndarray) -> keras.Model:
    """A copy whose narrow channels are wide where a depthwise convolution reads them, and which answers the same.

    Args:
        model: a float32 functional model; of another kind, or without such a place, it is returned as it is.
        pictures: uint8 (N, H, W, C), typical inputs, values 0..255.
    """
    if not chains(model):
        return model
    copy = walk.copied(model)
    found = chains(copy)
    widths = _widths(copy, pictures, [chain.reader for chain in found])
    for chain in found:
        _widen(chain, factors(widths[id(chain.reader)]))
    return copy


def factors(widths: np.ndarray) -> np.ndarray:
    """By how much each channel is widened: 1..256, to half of the widest.

    Args:
        widths: float (C,), the largest magnitude of each channel; 0 is left alone.
    """
    wide = np.float64(widths.max()) / HEADROOM
    by = wide / np.where(widths > 0, np.maximum(widths, wide / MOST), wide or 1.0)
    return np.maximum(by, 1.0)


def chains(model: keras.Model) -> list[Chain]:
    """The places of a model where channels can be widened for nothing.

    Args:
        model: of any kind; only functional ones, and those within them, say what reads what.
    """
    return [
        Chain(giver, node.operation)
        for graph in wiring.graphs(model)
        for node in wiring.nodes(graph)
        if _is_reader(graph, node.operation) and (giver := _giver(graph, node.input_tensors[0])) is not None
    ]


def _is_reader(graph: Any, operation: Any) -> bool:
    return (
        type(operation) is L.DepthwiseConv2D
        and operation.data_format == "channels_last"
        and wiring.uses(graph, operation) == 1
    )


def _giver(graph: Any, tensor: Any) -> Any:
    """The layer whose weights scale each channel of a tensor; None where there is none, or another reads it too."""
    for operation in _upwards(graph, tensor):
        if type(operation) is L.BatchNormalization:
            scalable = operation.axis in (-1, len(operation.input.shape) - 1) and operation.gamma is not None
            return operation if scalable else None
        if type(operation) in _CONVOLUTIONS:
            plain = operation.data_format == "channels_last" and not getattr(operation, "lora_enabled", False)
            return operation if plain and operation.activation in _SCALABLE else None
        if type(operation) not in _PASSING and not _is_scalable(operation):
            return None
    return None


def _upwards(graph: Any, tensor: Any) -> Iterator[Any]:
    """The operations that give a tensor, the last first, as far as each is read once and run once."""
    while len(list(wiring.readers(graph, tensor))) == 1:
        node = next((node for node in wiring.nodes(graph) if any(tensor is x for x in node.outputs)), None)
        if node is None or node.is_input or wiring.uses(graph, node.operation) != 1:
            return
        yield node.operation
        if len(node.input_tensors) != 1:
            return
        tensor = node.input_tensors[0]


def _is_scalable(operation: Any) -> bool:
    return type(operation) is L.Activation and operation.activation in _SCALABLE


def _widths(model: keras.Model, pictures: np.ndarray, readers: list[Any]) -> dict[int, np.ndarray]:
    """Layer, by id -> the largest magnitude of each channel that it reads, on all of the pictures."""
    found: dict[int, Any] = dict.fromkeys(map(id, readers), 0.0)  # names are shared among models in a model

    def visit(operation: Any, args: tuple, kwargs: dict) -> Any:
        if id(operation) in found:
            largest = tf.reduce_max(tf.abs(args[0]), axis=(0, 1, 2)).numpy()
            found[id(operation)] = np.maximum(found[id(operation)], largest)
        return operation(*args, **kwargs)

    for start in range(0, len(pictures), AT_ONCE):
        walk.walk(model, tf.constant(pictures[start : start + AT_ONCE], tf.float32), visit)
    return found


def _widen(chain: Chain, by: np.ndarray) -> None:
    """Scale what a layer gives, and scale it back in the kernel that reads it."""
    giver = chain.giver
    if type(giver) is L.BatchNormalization:
        scaled = [giver.gamma] + ([] if giver.beta is None else [giver.beta])
    else:
        scaled = [giver.kernel] + ([giver.bias] if giver.use_bias else [])
    for weight in scaled:
        weight.assign(weight * _shaped(by, weight, giver))
    reader = chain.reader
    reader.kernel.assign(folding.kernel_first(reader.get_weights(), 1 / by)[0])


def _shaped(by: np.ndarray, weight: Any, giver: Any) -> np.ndarray:
    """A factor for each output channel, in the shape of a weight: depthwise kernels have two axes of them."""
    is_depthwise = type(giver) is L.DepthwiseConv2D and len(weight.shape) == 4
    return by.reshape(weight.shape[2:]) if is_depthwise else by
