"""Layers of an integer file that stay in float: which ones rounding hurts most, and which floats that explains."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tfmap import flatbuffer, litert
from tfmap.errors import InputError, did_you_mean
from tfmap.graph import FLOATS, Graph, Op

PICTURES = 32  # enough for a steady order of the layers; both files run once on each
BORDER = ("QUANTIZE", "DEQUANTIZE", "CAST")  # what changes a number's form and computes nothing
LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")  # ops with a kernel


def chosen(keep: int | Sequence[str], rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The ops that `export.keep_float` asks for, by the names of the tensors that they give.

    Args:
        keep: how many of the layers that rounding hurts most, or names of layers. A layer and those that read it are
            kept together, as far as the number goes: what is stored between them would be rounded else.
        rows: what `errors` found.

    Raises:
        InputError: a name that no layer has, or more layers than there are.
    """
    if not isinstance(keep, int):
        return _named(keep, [row["tensor"] for row in rows])
    if keep > len(rows):
        raise InputError(f"export.keep_float={keep}: the file has {len(rows)} layers with kernels.")
    order = [name for row in rows for name in (row["tensor"], *row["readers"])]
    return tuple(dict.fromkeys(order))[:keep]


def tail(file: bytes, output: str) -> tuple[str, ...]:
    """The ops from the last kernels to an output, those with kernels too, by the names of the tensors that they give.

    Args:
        file: the float32 file.
        output: its name in the file's signature.
    """
    outline = flatbuffer.outline(file)
    makers = {id(tensor): op for op in outline.graph.ops for tensor in op.outputs}
    name = outline.signatures[0].outputs[output]
    waiting = [tensor for tensor in outline.graph.outputs if tensor.name == name]
    found: dict[str, None] = {}
    while waiting:
        op = makers.get(id(waiting.pop()))
        if op is not None:
            found |= dict.fromkeys(tensor.name for tensor in op.outputs)
            waiting += () if op.name in LAYERS else op.inputs
    return tuple(found)


def errors(file: bytes, reference: bytes, pictures: np.ndarray) -> list[dict[str, Any]]:
    """What rounding does to each layer with a kernel, the worst first.

    Noise runs on through the layers behind, so a layer is not judged by the noise in its output but by what it adds:
    noise over signal (mean squares) at its output, less the same at its input. Both are means over the channels, none
    of which counts for more than 1: a channel that is a thousand times as wide as the others would hide that they
    drown, and one that is always near zero would cry for all.

    Args:
        file: the integer file.
        reference: the float32 file of the same model; tensors are matched by name.
        pictures: uint8 (N, H, W, C), typical inputs; the first 32 are used.

    Returns:
        list: dicts of "tensor" (its output), "op", "sqnr_db" (signal to noise over the whole output in decibels, None
            where there is no noise), "added" (what is added to noise over signal; may be below 0) and "readers"
            (outputs of the layers that take this one's directly).
    """
    layers = _layers(flatbuffer.read(reference))
    meters = _measured(file, reference, pictures[:PICTURES], {name for op in layers for name in (_fed(op), _given(op))})
    rows = [
        {
            "tensor": _given(op),
            "op": op.name,
            "sqnr_db": meters[_given(op)].sqnr_db(),
            "added": meters[_given(op)].ratio() - (meters[_fed(op)].ratio() if _fed(op) in meters else 0.0),
            "readers": [_given(other) for other in layers if _fed(other) == _given(op)],
        }
        for op in layers
        if _given(op) in meters
    ]
    return sorted(rows, key=lambda row: -row["added"])


class _Meter:
    """Squares of a tensor and of its noise, summed for each channel."""

    def __init__(self) -> None:
        self.signal: Any = 0.0
        self.noise: Any = 0.0

    def add(self, exact: np.ndarray, rounded: np.ndarray) -> None:
        """Count one more picture."""
        for name, values in (("signal", exact), ("noise", rounded - exact)):
            squares = np.square(values.reshape(-1, values.shape[-1]), dtype=np.float64).sum(axis=0)
            setattr(self, name, getattr(self, name) + squares)

    def ratio(self) -> float:
        """Noise over signal, the mean over the channels that say anything."""
        there = self.signal > 0
        return float(np.minimum(self.noise[there] / self.signal[there], 1).mean()) if there.any() else 0.0

    def sqnr_db(self) -> float | None:
        """Signal to noise over all channels."""
        signal, noise = self.signal.sum(), self.noise.sum()
        return 10 * float(np.log10(signal / noise)) if signal and noise else None


def _measured(file: bytes, reference: bytes, pictures: np.ndarray, names: Collection[str]) -> dict[str, _Meter]:
    """Name -> meter, of the tensors that both files have."""
    meters: dict[str, _Meter] = defaultdict(_Meter)
    both = (litert.activations(data, pictures, names) for data in (file, reference))
    for ours, theirs in zip(*both, strict=True):
        for name in ours.keys() & theirs.keys():
            meters[name].add(theirs[name], ours[name])
    return meters


def _given(op: Op) -> str:
    """Name of the tensor that an op gives."""
    return op.outputs[0].name


def _layers(graph: Graph) -> list[Op]:
    """Ops with a kernel, in order."""
    return [op for op in graph.ops if op.name in LAYERS]


def _fed(op: Op) -> str:
    """Name of the tensor that an op takes, beside its constants."""
    return next(tensor.name for tensor in op.inputs if not tensor.nbytes)


def _named(names: Sequence[str], tensors: Sequence[str]) -> tuple[str, ...]:
    known = sorted({word for tensor in tensors for word in words(tensor)})
    found = []
    for name in names:
        if name not in known:
            raise InputError(
                f"export.keep_float: no layer with a kernel is named {name!r} in the file. "
                f"Words of their names: {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}."
                f"{did_you_mean(name, known)}"
            )
        found += [tensor for tensor in tensors if name in words(tensor)]
    return tuple(dict.fromkeys(found))


def words(tensor: str) -> set[str]:
    """The layers that a tensor's name is made of. Keras enters each scope twice, so TensorFlow appends a number."""
    return {re.sub(r"_\d+$", "", word) for word in re.split(r"[/;]", tensor)}


def unexpected(graph: Graph, keep: Collection[str] = ()) -> list[str]:
    """Names of the float tensors of an integer file that nothing explains.

    Explained are those that only QUANTIZE, DEQUANTIZE and CAST touch, such as the ends of a file whose caller wants
    floats there, and those that the ops read and write which are kept in float.

    Args:
        graph: of the file.
        keep: names of the tensors that the kept ops give, as `chosen` has them.
    """
    kept = [op for op in graph.ops if any(tensor.name in keep for tensor in op.outputs)]
    explained = {id(tensor) for op in kept for tensor in (*op.inputs, *op.outputs)}
    busy = {id(tensor) for op in graph.ops if op.name not in BORDER for tensor in (*op.inputs, *op.outputs)}
    return [tensor.name for tensor in graph.tensors if tensor.dtype in FLOATS and id(tensor) in busy - explained]


def strict(file: bytes, keep: Collection[str] = (), *, engine: str, instead: str = "the other export.engine") -> bytes:
    """The file, if it computes in integers but for what is kept.

    Args:
        file: an integer file.
        keep: names of the tensors that the kept ops give, as `chosen` has them.
        engine: what made the file, for the error text.
        instead: what the error text says to choose.

    Raises:
        InputError: the engine has left something else in float.
    """
    left = unexpected(flatbuffer.read(file), keep)
    if left:
        raise InputError(
            f"export: {engine} leaves ops of this model in float, at {', '.join(left[:3])}. Choose {instead}, "
            "or export.format=float16 or dynamic."
        )
    return file
