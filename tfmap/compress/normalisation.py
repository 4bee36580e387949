"""What stands for a Rescaling while a network learns with rounding: one op of an int8 file, or none.

By a factor and an offset it would be two, with two roundings. Where kernels of convolutions can carry the factor, as
export has it in `tfmap.export.folding`, a subtraction is left; elsewhere a 1x1 depthwise convolution does both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tf_keras

from tfmap.compress import fusions, quantizers

L = tf_keras.layers
_CARRIERS = (L.Conv2D, L.DepthwiseConv2D)


class Stand(NamedTuple):
    """In for a Rescaling.

    Attributes:
        layer: of the same name.
        weights: of the layer, once it is built.
        reach: least and largest value; None where nothing but pictures can tell.
        factors: name of a convolution -> what its kernel is multiplied with, a number or one for each channel it reads.
    """

    layer: tf_keras.layers.Layer
    weights: list[np.ndarray]
    reach: tuple[float, float] | None
    factors: Mapping[str, np.ndarray]


def stands(legacy: tf_keras.Model) -> dict[str, Stand]:
    """Name of a Rescaling of pictures -> what stands for it; one that is an op already is left as it is.

    Args:
        legacy: a bridged model.
    """
    found = {}
    for layer in legacy.layers:
        if not _scales(layer):
            continue
        readers = list(_readers(legacy, layer))
        if readers and all(map(_carries, readers)):
            found[layer.name] = _subtraction(layer, readers)
        elif np.any(np.asarray(layer.offset) != 0):
            found[layer.name] = _depthwise(layer)
    return found


def _scales(layer: tf_keras.layers.Layer) -> bool:
    """Whether it is a Rescaling of pictures by a factor, and one that can be undone."""
    if not isinstance(layer, L.Rescaling) or {len(node.input_shapes) for node in layer.inbound_nodes} != {4}:
        return False
    return bool(np.any(np.asarray(layer.scale) != 1) and np.all(np.asarray(layer.scale) != 0))


def _readers(legacy: tf_keras.Model, layer: tf_keras.layers.Layer) -> Iterator[Any]:
    """Layers that read what a layer gives, behind padding; None for what is used twice or given out."""
    if len(layer.inbound_nodes) != 1 or layer.name in legacy.output_names:
        yield None
    for node in layer.outbound_nodes:
        reader = node.outbound_layer
        if type(reader) is L.ZeroPadding2D:
            yield from _readers(legacy, reader)
        else:
            yield reader


def _carries(layer: Any) -> bool:
    if type(layer) not in _CARRIERS or len(layer.inbound_nodes) != 1 or fusions.is_carrier(layer):
        return False
    return layer.groups == 1 or type(layer) is L.DepthwiseConv2D


def _subtraction(layer: tf_keras.layers.Rescaling, readers: list[Any]) -> Stand:
    scale = np.asarray(layer.scale, np.float32)
    offset = np.asarray(layer.offset, np.float32) / scale
    twin = L.Rescaling(1.0, offset=offset.tolist(), name=layer.name)
    return Stand(twin, [], _reach(layer, np.ones(1), offset), dict.fromkeys((reader.name for reader in readers), scale))


def _depthwise(layer: tf_keras.layers.Rescaling) -> Stand:
    channels = layer.inbound_nodes[0].input_shapes[-1]
    scale, offset = (np.broadcast_to(np.asarray(value, np.float32), channels) for value in (layer.scale, layer.offset))
    twin = L.DepthwiseConv2D(1, name=layer.name, trainable=False)
    return Stand(twin, [scale.reshape(1, 1, channels, 1), np.array(offset)], _reach(layer, scale, offset), {})


def _reach(layer: tf_keras.layers.Layer, scale: np.ndarray, offset: np.ndarray) -> tuple[float, float] | None:
    """The range of a scaled picture, 1% wider.

    With -1..1 exactly, every one of the 256 values would lie halfway between two steps, and each kernel rounds halves
    its own way: the file would be a step off the training in a third of all values (measured).
    """
    if not all(isinstance(node.inbound_layers, L.InputLayer) for node in layer.inbound_nodes):
        return None
    if not offset.any():
        return quantizers.PICTURE
    ends = np.stack([np.broadcast_to(offset, np.broadcast(scale, offset).shape), 255 * scale + offset])
    return 1.01 * min(float(ends.min()), 0.0), 1.01 * max(float(ends.max()), 0.0)
