"""The weights in the file beside those of the model: rounded they may be, but they must be the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmap import flatbuffer
from tfmap.graph import BORDER, Graph, Op, Tensor
from tfmap.verify.alignment import Pair

# op -> axis of its kernel that counts output channels
CHANNELS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
# Cosine of the angle between two kernels: rounding to int8 leaves 0.999, to 4 bits 0.98; other weights give about 0.
LEAST = 0.9
STEPS = 2  # a channel whose largest weight is below this many steps of its scale may round to zero


def compare(pairs: Sequence[Pair], theirs: Graph, ours: Graph) -> dict[str, Any]:
    """Compare kernels, op by op.

    Args:
        pairs: ops of the model's float file and of the file that compute the same thing.
        theirs: graph of the float file.
        ours: graph of the file.

    Returns:
        dict: "compared" and "of" (kernels that have a counterpart, and all in the file), "least_cosine" (of any, None
            where none was compared), "findings" (a line per kernel of other weights or with channels that are zero in
            the file alone).
    """
    mine, yours = _makers(theirs), _makers(ours)
    rows = [_row(b, _kernel(a, mine), _kernel(b, yours)) for a, b in pairs]
    found = [row for row in rows if row]
    return {
        "compared": len(found),
        "of": sum(_kernel(op, yours) is not None for op in ours.ops),
        "least_cosine": min((row["cosine"] for row in found), default=None),
        "findings": [line for row in found if (line := _finding(row))],
    }


def _makers(graph: Graph) -> dict[int, Op]:
    """Tensor -> the op that writes it."""
    return {id(tensor): op for op in graph.ops for tensor in op.outputs}


def _kernel(op: Op, makers: Mapping[int, Op]) -> Tensor | None:
    """The constant that an op multiplies with; a float16 one stands behind a DEQUANTIZE."""
    if op.name not in CHANNELS or len(op.inputs) < 2:
        return None
    tensor, maker = op.inputs[1], makers.get(id(op.inputs[1]))
    tensor = maker.inputs[0] if maker is not None and maker.name in BORDER else tensor
    return tensor if tensor.is_weight else None


def _row(op: Op, theirs: Tensor | None, ours: Tensor | None) -> dict[str, Any] | None:
    a, b = (None if tensor is None else flatbuffer.array(tensor) for tensor in (theirs, ours))
    if a is None or b is None or a.shape != b.shape:
        return None
    a, b = (np.moveaxis(x, CHANNELS[op.name], 0).reshape(x.shape[CHANNELS[op.name]], -1) for x in (a, b))
    peak = np.abs(a).max(axis=1)
    told = peak > np.maximum(STEPS * np.array(ours.scale or 0.0), 1e-6 * peak.max())
    lost = told & ~b.any(axis=1)
    return {
        "name": f"{op.name} {op.outputs[0].short}",
        "cosine": _cosine(a[~lost], b[~lost]),
        "lost": int(lost.sum()),
        "of": len(lost),
    }


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the angle between the channels of two kernels, (C, N) both, at the mean over the energy of the first.

    Channel by channel, because a normalisation that was folded in may have scaled each as a whole.
    """
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    energy = np.square(lengths[0]).sum()
    if not energy:
        return float(not b.any())
    turned = (a * b).sum(axis=1) * lengths[0] / np.maximum(lengths[1], 1e-30)
    return float(turned.sum() / energy)


def _finding(row: Mapping[str, Any]) -> str:
    if row["lost"]:
        return f"{row['name']}: {row['lost']} of {row['of']} channels of the kernel are zero; the model's are not."
    if row["cosine"] < LEAST:
        return (
            f"{row['name']}: other weights than the model's (cosine {row['cosine']:.2f}, expected {LEAST:g} or more)."
        )
    return ""
