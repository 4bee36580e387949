"""Which factor of a normalisation the convolutions behind it can carry, so that a file spends no op on it.

conv(s x + o) = (s conv)(x + o / s), and zero padding means the same grey on both sides. In integers the left side
begins with an op for the factor that on a small network takes a seventh of the time; x + o / s is a subtraction.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfmap.export import wiring

L = keras.layers
# Layers whose first weight is a kernel with the channels that it reads on its axis 2.
_CARRIERS = (L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D)


def foldable(model: keras.Model) -> dict[keras.layers.Rescaling, list[keras.layers.Layer]]:
    """Rescaling -> the convolutions that can carry its factor: all that reads it, each used once.

    Args:
        model: of any kind; only functional and sequential ones, and those within them, say what reads what.
    """
    found = {}
    for graph in wiring.graphs(model):
        for node in wiring.nodes(graph):
            if _is_scaling(node.operation) and wiring.uses(graph, node.operation) == 1:
                readers = list(wiring.readers(graph, node.outputs[0]))
                if readers and all(map(_carries, readers)):
                    found[node.operation] = readers
    return found


def kernel_first(weights: list[np.ndarray], scale: Any) -> list[np.ndarray]:
    """A carrier's weights with a factor for each channel that it reads.

    Args:
        weights: kernel (h, w, C, N), and others that the factor leaves alone.
        scale: a number, or one for each of the C channels.
    """
    kernel, *others = weights
    return [kernel * np.reshape(np.asarray(scale, np.float32), (-1, 1)), *others]


def _is_scaling(operation: Any) -> bool:
    """Whether it is a Rescaling of pictures by a factor other than 1, and one that can be undone."""
    if type(operation) is not L.Rescaling or len(operation.input.shape) != 4:
        return False
    scale = np.asarray(operation.scale)
    return bool(np.any(scale != 1) and np.all(scale != 0))


def _carries(layer: Any) -> bool:
    """Whether the factor can be moved into its kernel: nothing but a kernel for all channels, and perhaps a bias."""
    if type(layer) not in _CARRIERS or layer.data_format != "channels_last":
        return False
    return getattr(layer, "groups", 1) == 1 and not getattr(layer, "lora_enabled", False)
