"""Which channels of a model have to go together, found by following them along its graph.

Every channel that a kernel makes gets a number, and the numbers travel along the last axis of every tensor: a batch
norm hands them on, a sum ties them pairwise, a concatenation puts them in a row, flattening repeats them for every
place. What is tied is one group: it is removed as a whole, or it stays.

Source: Fang et al., DepGraph: Towards Any Structural Pruning, 2023, section 3.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import tree
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tfmap.compress import channels_rules, patterns
from tfmap.compress.channels_notes import MAKES, Axis, Call, Notes
from tfmap.errors import InputError

_COUNTED = re.compile(r"((Depthwise|Separable)?Conv\dD(Transpose)?|Dense)$")


@dataclass(frozen=True)
class Groups:
    """The groups of channels of a model, numbered from 0 to G.

    Attributes:
        axes: of weights, their channels given as groups.
        sizes: (layer, argument) -> groups; the argument is their number, or a shape that ends in it.
        family: int (G,): groups that the same layers make are of one family, from 0 on; -1 for those that stay.
        places: layer -> how often its kernels are applied for one picture.
    """

    axes: tuple[Axis, ...]
    sizes: dict[tuple[str, str], np.ndarray]
    family: np.ndarray
    places: dict[str, int]


def groups(model: keras.Model, keep: Sequence[str] = ()) -> Groups:
    """Follow the channels of a model.

    The channels of its inputs and outputs stay, and so does what goes in and out of a layer that has no rule:
    attention, layer normalisation, grouped convolutions, a layer of your own.

    Args:
        model: a flat functional model of fixed input size.
        keep: patterns of layers that keep the channels they make.

    Raises:
        InputError: a pattern that no layer matches, or a model whose input size is open.
    """
    notes = Notes()
    places = _walk(model, notes)
    makers = [axis.layer for axis in notes.axes.values() if axis.role == MAKES]
    for pattern in keep:
        patterns.check(pattern, makers, "that makes channels")
    for axis in notes.axes.values():
        if axis.role == MAKES and patterns.among(axis.layer, keep):
            notes.keep(axis.channels)
    notes.give_up()
    return _joined(notes, places)


def _walk(model: keras.Model, notes: Notes) -> dict[str, int]:
    """Send numbers instead of pictures through the graph."""
    channels: dict[int, np.ndarray] = {}
    places: dict[str, int] = defaultdict(int)
    for tensor in model.inputs:
        channels[id(tensor)] = notes.keep(notes.fresh(tensor.shape[-1]))
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.is_input:
                _visit(node, channels, notes)
                places[node.operation.name] += _places(node)
    for tensor in model.outputs:
        notes.keep(channels[id(tensor)])
    return places


def _visit(node: Any, channels: dict[int, np.ndarray], notes: Notes) -> None:
    """Give the outputs of a node their channels."""
    inputs = [channels[id(tensor)] for tensor in node.input_tensors]
    shapes = [tensor.shape for tensor in node.input_tensors]
    arguments = tree.flatten((node.arguments.args, node.arguments.kwargs))
    constants = [value for value in arguments if not isinstance(value, keras.KerasTensor) and value is not None]
    call = Call(node.operation, inputs, shapes, node.outputs[0].shape, constants)
    out = channels_rules.trace(call, notes) if len(node.outputs) == 1 else None
    if out is not None:
        channels[id(node.outputs[0])] = out
        return
    notes.lost.add(node.operation.name)
    for tensor in inputs:
        notes.keep(tensor)
    for tensor in node.outputs:
        channels[id(tensor)] = notes.keep(notes.fresh(tensor.shape[-1] if tensor.shape else 0))


def _places(node: Any) -> int:
    """How often the kernels of a layer are applied for one picture; 0 where there are none to count."""
    kind = type(node.operation).__name__
    if not _COUNTED.match(kind) or not isinstance(node.operation, keras.Layer):
        return 0
    tensor = node.input_tensors[0] if kind.endswith("Transpose") else node.outputs[0]
    if None in tensor.shape[1:-1]:
        raise InputError(
            "compress: channels counts multiply-adds and needs a fixed input size, but layer "
            f"{node.operation.name!r} has shape {tensor.shape}. Build the model with a height and a width."
        )
    return math.prod(tensor.shape[1:-1])


def _joined(notes: Notes, places: dict[str, int]) -> Groups:
    """Turn ties into groups."""
    ones, others = (np.concatenate([np.zeros(0, int), *(tie[side] for tie in notes.ties)]) for side in (0, 1))
    graph = coo_array((np.ones(len(ones)), (ones, others)), shape=(notes.count, notes.count))
    number, group = connected_components(graph, directed=False)
    axes = tuple(replace(axis, channels=group[axis.channels]) for axis in notes.axes.values())
    sizes = {key: group[channels] for key, channels in notes.sizes.items()}
    stays = np.zeros(number, bool)
    stays[group[np.concatenate(notes.kept)]] = True
    return Groups(axes, sizes, _families(axes, stays), dict(places))


def _families(axes: Sequence[Axis], stays: np.ndarray) -> np.ndarray:
    makers: list[set[str]] = [set() for _ in stays]
    for axis in axes:
        if axis.role == MAKES:
            for group in np.unique(axis.channels):
                makers[group].add(axis.layer)
    numbers: dict[frozenset[str], int] = {}
    families = np.full(len(stays), -1)
    for group in np.flatnonzero(~stays):
        families[group] = numbers.setdefault(frozenset(makers[group]), len(numbers))
    return families
