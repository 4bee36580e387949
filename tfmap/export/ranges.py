"""Ranges of activations: those that pictures have, those that a quantised file can hold, and what falls outside."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tfmap import flatbuffer, litert
from tfmap.export.floats import BORDER
from tfmap.graph import Graph, Op
from tfmap.progress import shown

# A warning names a tensor below the first or above the second. With 200 typical pictures and 64 others, the least
# covered tensor of the demo's model in int8 is covered to 0.96.
LEAST_COVERED, MOST_SATURATED = 0.8, 0.01
FIXED = ("SOFTMAX", "LOGISTIC", "TANH", "L2_NORMALIZATION")  # their kernels prescribe the range of what they give
LEVELS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


class Range(NamedTuple):
    """Least and largest value."""

    low: float
    high: float


def measured(file: bytes, pictures: np.ndarray) -> dict[str, Range]:
    """The range of every tensor that a float file computes, its input included.

    Args:
        file: a float32 file.
        pictures: uint8 (N, H, W, C).
    """
    graph = flatbuffer.read(file)
    names = _activations(graph) | {tensor.name for tensor in graph.inputs}
    found: dict[str, Range] = {}
    seen = shown(litert.activations(file, pictures, names), len(pictures), "ranges of activations")
    for tensors in seen:
        for name, values in tensors.items():
            low, high = found.get(name, Range(np.inf, -np.inf))
            found[name] = Range(min(low, float(values.min())), max(high, float(values.max())))
    return found


def holdable(graph: Graph) -> dict[str, Range]:
    """The range that each quantised activation of a file can hold, where calibration has chosen it."""
    made_by = {id(tensor): op for op in graph.ops for tensor in op.outputs}
    chosen = [op.outputs[0] for op in graph.ops if op.outputs and not _is_fixed(op, made_by)]
    return {
        tensor.name: Range(*((level - tensor.zero_point[0]) * tensor.scale[0] for level in LEVELS[tensor.dtype]))
        for tensor in chosen
        if len(tensor.scale) == 1 and tensor.dtype in LEVELS
    }


def _is_fixed(op: Op, made_by: dict[int, Op]) -> bool:
    """Whether calibration had no say in the range of what an op gives: prescribed scores, and pixels."""
    if op.name not in BORDER:
        return op.name in FIXED
    source = made_by.get(id(op.inputs[0]))
    return source is None or _is_fixed(source, made_by)


def coverage(file: bytes, reference: bytes, pictures: np.ndarray) -> dict[str, Any]:
    """How much of each activation's range a quantised file can hold, on pictures that it was not calibrated with.

    Args:
        file: the quantised file.
        reference: the float32 file of the same model; tensors are matched by name.
        pictures: uint8 (N, H, W, C), others than those of the calibration.

    Returns:
        dict: "pictures" (N); "least_covered" and "most_saturated" (0..1, over all tensors; None where no tensor could
            be matched); "tensors", the least covered first: dicts of "tensor", "holds" and "seen" ([low, high]),
            "covered" (share of the seen range that the file holds, 0..1) and "saturated" (share of the values that
            fall outside by more than half a step); "warnings", lines that name the tensors beyond the thresholds.
    """
    graph = flatbuffer.read(file)
    limits, steps = holdable(graph), {tensor.name: tensor.scale[0] for tensor in graph.tensors if tensor.scale}
    names = limits.keys() & _activations(flatbuffer.read(reference))
    tallies = {name: _Tally(limits[name], steps[name] / 2) for name in sorted(names)}
    for tensors in shown(litert.activations(reference, pictures, names), len(pictures), "coverage of the calibration"):
        for name, values in tensors.items():
            tallies[name].add(values)
    rows = sorted((tally.row(name) for name, tally in tallies.items()), key=lambda row: (row["covered"], row["tensor"]))
    return {
        "pictures": len(pictures),
        "least_covered": rows[0]["covered"] if rows else None,
        "most_saturated": max((row["saturated"] for row in rows), default=None),
        "warnings": [_warning(row) for row in rows if _is_short(row)],
        "tensors": rows,
    }


class _Tally:
    """What one tensor has been seen to hold."""

    def __init__(self, holds: Range, slack: float) -> None:
        self.holds, self.slack = holds, slack
        self.low, self.high = np.inf, -np.inf
        self.outside, self.count = 0, 0

    def add(self, values: np.ndarray) -> None:
        """Count one more picture."""
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        low, high = self.holds.low - self.slack, self.holds.high + self.slack
        self.outside += int(np.count_nonzero(values < low) + np.count_nonzero(values > high))
        self.count += values.size

    def row(self, name: str) -> dict[str, Any]:
        """The tensor's line."""
        shared = min(self.high, self.holds.high + self.slack) - max(self.low, self.holds.low - self.slack)
        width = self.high - self.low
        return {
            "tensor": name,
            "holds": list(self.holds),
            "seen": [self.low, self.high],
            "covered": float(np.clip(shared / width, 0, 1)) if width else float(shared >= 0),
            "saturated": self.outside / self.count,
        }


def _is_short(row: dict[str, Any]) -> bool:
    return row["covered"] < LEAST_COVERED or row["saturated"] > MOST_SATURATED


def _warning(row: dict[str, Any]) -> str:
    return (
        f"{row['tensor']}: calibration reaches {100 * row['covered']:.1f}% of the range that other training pictures "
        f"have, {100 * row['saturated']:.3f}% of the values saturate. Raise export.samples."
    )


def _activations(graph: Graph) -> set[str]:
    """Names of the tensors that ops compute."""
    return {tensor.name for op in graph.ops for tensor in op.outputs}
