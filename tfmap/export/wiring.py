"""What a Keras graph says of itself: which operation reads which tensor, and how often one is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras


def graphs(model: Any) -> Iterator[Any]:
    """The model and those within it that are graphs, each as a functional one, if all of them are used once."""
    graph = model._functional if type(model) is keras.Sequential else model
    if not hasattr(graph, "_nodes_by_depth"):
        return
    yield graph
    for layer in graph.layers:
        if isinstance(layer, keras.Model) and uses(graph, layer) == 1:
            yield from graphs(layer)


def nodes(graph: Any) -> list[Any]:
    """The calls that a graph consists of."""
    return [node for level in graph._nodes_by_depth.values() for node in level]


def uses(graph: Any, operation: Any) -> int:
    """How often a graph calls an operation."""
    return sum(node.operation is operation for node in nodes(graph))


def readers(graph: Any, tensor: Any) -> Iterator[Any]:
    """Operations that read a tensor, behind padding and inside models; None for what no layer accounts for."""
    if any(tensor is output for output in graph.outputs):
        yield None
    for node in nodes(graph):
        if not any(tensor is x for x in node.input_tensors):
            continue
        operation = node.operation
        inner = list(graphs(operation))[:1] if isinstance(operation, keras.Model) else []
        if uses(graph, operation) != 1:
            yield None
        elif type(operation) is keras.layers.ZeroPadding2D:
            yield from readers(graph, node.outputs[0])
        elif inner and len(inner[0].inputs) == 1:
            yield from readers(inner[0], inner[0].inputs[0])
        else:
            yield operation
