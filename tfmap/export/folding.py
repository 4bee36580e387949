"""Which factor of a normalisation the convolutions behind it can carry, so that a file spends no op on it.

conv(s x + o) = (s conv)(x + o / s), and zero padding means the same grey on both sides. In integers the left side
begins with an op for the factor that on a small network takes a seventh of the time; x + o / s is a subtraction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

L = keras.layers
# Layers whose first weight is a kernel with the channels that it reads on its axis 2.
_CARRIERS = (L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D)


def foldable(model: keras.Model) -> dict[keras.layers.Rescaling, list[keras.layers.Layer]]:
    """Rescaling -> the convolutions that can carry its factor: all that reads it, each used once.

    Args:
        model: of any kind; only functional and sequential ones, and those within them, say what reads what.
    """
    found = {}
    for graph in _graphs(model):
        for node in _nodes(graph):
            if _is_scaling(node.operation) and _uses(graph, node.operation) == 1:
                readers = list(_readers(graph, node.outputs[0]))
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


def _graphs(model: Any) -> Iterator[Any]:
    """The model and those within it that are graphs, each as a functional one, if all of them are used once."""
    graph = model._functional if type(model) is keras.Sequential else model
    if not hasattr(graph, "_nodes_by_depth"):
        return
    yield graph
    for layer in graph.layers:
        if isinstance(layer, keras.Model) and _uses(graph, layer) == 1:
            yield from _graphs(layer)


def _nodes(graph: Any) -> list[Any]:
    return [node for nodes in graph._nodes_by_depth.values() for node in nodes]


def _uses(graph: Any, operation: Any) -> int:
    return sum(node.operation is operation for node in _nodes(graph))


def _readers(graph: Any, tensor: Any) -> Iterator[Any]:
    """Operations that read a tensor, behind padding and inside models; None for what no layer accounts for."""
    if any(tensor is output for output in graph.outputs):
        yield None
    for node in _nodes(graph):
        if not any(tensor is x for x in node.input_tensors):
            continue
        operation = node.operation
        inner = list(_graphs(operation))[:1] if isinstance(operation, keras.Model) else []
        if _uses(graph, operation) != 1:
            yield None
        elif type(operation) is L.ZeroPadding2D:
            yield from _readers(graph, node.outputs[0])
        elif inner and len(inner[0].inputs) == 1:
            yield from _readers(inner[0], inner[0].inputs[0])
        else:
            yield operation


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
