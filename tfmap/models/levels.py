"""Strides along a functional model: its feature maps P2..P5, and the stage that every layer belongs to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from tfmap.models import LEVELS

_GLOBAL = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
_BORDERS = (layers.ZeroPadding2D, layers.Cropping2D)


def feature_maps(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """The last feature map at each stride: "P2" at stride 4, "P3" at 8, "P4" at 16, "P5" at 32.

    A map counts if all of the picture's information flows through it (no shortcut goes round it); where a family never
    narrows like that at some stride (NASNet) it is the widest sum or concatenation, the later one of equals. Padding
    does not count. The last map of the model is always there, whatever its stride, as the highest level.

    Args:
        model: flat functional model, picture in, one feature map out; every layer called once.

    Returns:
        dict: level -> (B, H / stride, W / stride, C), lowest first.
    """
    narrow, merged = {}, {}
    steps = list(_walk(model))
    for operation, stride, is_narrow in steps:
        if stride is None or isinstance(operation, _BORDERS):
            continue
        if is_narrow:
            narrow[stride] = operation.output
        elif isinstance(operation, (layers.Add, layers.Concatenate)):
            merged[stride] = _wider(operation.output, merged.get(stride))
    last = max(stride for _, stride, _ in steps if stride)
    found = merged | narrow
    return {LEVELS[_index(s)]: found[s] for s in sorted(found) if s >= 4 or s == last}


def _wider(new: keras.KerasTensor, old: keras.KerasTensor | None) -> keras.KerasTensor:
    return new if old is None or new.shape[-1] >= old.shape[-1] else old


def marked(body: keras.Model) -> keras.Model:
    """A backbone whose maps go through layers of their names, P2 to P5, that do nothing.

    What stands on it can then be told from it by the graph alone, after saving and loading too.

    Args:
        body: picture in, level -> map out.
    """
    maps = {level: layers.Identity(name=level)(x) for level, x in body.output.items()}
    return keras.Model(body.input, maps, name=body.name)


def _ends(model: keras.Model) -> list[Any]:
    """The marks of a backbone's maps, if there are any."""
    return [one for one in model.operations if isinstance(one, layers.Identity) and one.name in LEVELS]


def _upstream(ends: list[Any]) -> set[str]:
    """Names of the operations that lead to these, themselves included."""
    found, waiting = set(), list(ends)
    while waiting:
        operation = waiting.pop()
        if operation.name not in found:
            found.add(operation.name)
            waiting += _producers(operation)
    return found


def stages(model: keras.Model) -> dict[str, int]:
    """The stage of every layer, as an index into LEVELS; it never falls along the graph.

    Stage k holds the layers up to stride 2**(k + 1) and above 2**k: 0 is the stem ("P1"), 4 is "P5". What does not lead
    to a map that is `marked`, or without marks comes after the last feature map, is the head (5). Networks for small
    pictures have few strides, so some indices may be missing. All of it is read from the graph: a reloaded model gives
    the same answer.

    Args:
        model: flat functional model, such as a classifier on a backbone; every layer called once.

    Returns:
        dict: layer name -> 0..5, in graph order.
    """
    steps = list(_walk(model))
    last_map = max(i for i, (_, stride, _) in enumerate(steps) if stride)
    body = _upstream(_ends(model)) or {operation.name for operation, _, _ in steps[: last_map + 1]}
    stage: dict[str, int] = {}
    for operation, stride, _ in steps:
        before = max((stage[producer.name] for producer in _producers(operation)), default=0)
        own = _index(stride) if stride else before
        stage[operation.name] = max(before, own) if operation.name in body else len(LEVELS) - 1
    names = {layer.name for layer in model.layers}
    return {name: index for name, index in stage.items() if name in names}


def _index(stride: int) -> int:
    """Stride 1 or 2 -> 0 ("P1"), 4 -> 1, 8 -> 2, 16 -> 3, 32 and above -> 4."""
    return min(max(math.ceil(math.log2(stride)) - 1, 0), 4)


def _walk(model: keras.Model) -> Iterator[tuple[Any, int | None, bool]]:
    """Operations in graph order, each with its output's stride (None: not a map) and whether nothing goes round it."""
    operations = model.operations
    position = {operation.name: i for i, operation in enumerate(operations)}
    last_use = [0] * len(operations)
    for i, operation in enumerate(operations):
        for producer in _producers(operation):
            last_use[position[producer.name]] = i
    strides: dict[str, int | None] = {}
    reach = 0
    for i, operation in enumerate(operations):
        strides[operation.name] = _stride(operation, [strides[p.name] for p in _producers(operation)])
        yield operation, strides[operation.name], reach <= i
        reach = max(reach, last_use[i])


def _producers(operation: Any) -> list[Any]:
    """The operations whose outputs this one takes."""
    if isinstance(operation, layers.InputLayer):
        return []
    return [tensor._keras_history.operation for tensor in keras.tree.flatten(operation.input)]


def _stride(operation: Any, before: list[int | None]) -> int | None:
    """Pixels of the picture per step of the output map; None where the output is no map of the picture."""
    shape = operation.output.shape
    if len(shape) != 4 or isinstance(operation, _GLOBAL):
        return None
    if not before:
        return 1
    known = [stride for stride in before if stride]
    return max(known) * _own_stride(operation) if known else None


def _own_stride(operation: Any) -> int:
    strides = getattr(operation, "strides", 1)
    return int(strides[0]) if isinstance(strides, (list, tuple)) else int(strides)
