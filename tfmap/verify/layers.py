"""Layer by layer: what each op of the file says to real pictures, beside the same op of the float file.

Errors add up on the way: a layer's figure holds what all before it lost. Where the figure falls, the loss is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmap.graph import Op
from tfmap.litert import LiteModel
from tfmap.verify.alignment import Pair

WORST = 10
MOST = 200.0  # dB of a layer that is equal to the last bit: a number, because JSON has no infinity
LEVELS = 255  # of a tensor's range
# A channel that moves by so many of them in the model must move in the file. One that has said little, as behind a
# pooling, may have rounded to the same number for every picture: those of MobileNetV3's squeeze layers do.
MOVED, MOVED_OF_FEW, FEW = 16, 128, 256


def compare(pairs: Sequence[Pair], theirs: bytes, ours: bytes, pictures: np.ndarray) -> dict[str, Any]:
    """Run pictures through both files and compare every op.

    Args:
        pairs: ops of the float file and of the file that compute the same thing.
        theirs: the float file.
        ours: the file.
        pictures: uint8 (N, H, W, C), values 0..255.

    Returns:
        dict: "pictures"; "compared" (ops); "median_db" (signal-to-quantisation-noise ratio, None where nothing was
            compared); "worst" (up to ten of {"op", "name", "sqnr_db"}, worst first); "rows" (all of them, in order);
            "findings" (a line per op with channels that stand still in the file alone).
    """
    meters = [Meter(op) for _, op in pairs]
    models = LiteModel(theirs, keep=True), LiteModel(ours, keep=True)
    indices = [[op.outputs[0].index for op in side] for side in zip(*pairs, strict=True)] or [[], []]
    step = models[1].input_shape[0]
    for start in range(0, len(pictures), step):
        batch = pictures[start : start + step]
        values = [model.inside(batch, places) for model, places in zip(models, indices, strict=True)]
        for meter, exact, rounded in zip(meters, *values, strict=True):
            meter.add(exact, rounded)
    rows = [meter.row() for meter in meters]
    worst = sorted(rows, key=lambda row: row["sqnr_db"])[:WORST]
    return {
        "pictures": len(pictures),
        "compared": len(rows),
        "median_db": float(np.median([row["sqnr_db"] for row in rows])) if rows else None,
        "worst": worst,
        "rows": rows,
        "findings": [line for meter in meters if (line := meter.finding())],
    }


class Meter:
    """What an op said so far, in the float file and in the file.

    Args:
        op: of the file.
    """

    def __init__(self, op: Op) -> None:
        self.op = op
        self._signal = self._noise = 0.0
        self._values = 0  # of each channel
        self._limits: list[Any] = [None, None]  # of each side: least and largest value of each channel

    def add(self, exact: np.ndarray, rounded: np.ndarray) -> None:
        """Take the answers to a batch: float32 of one shape, channels last."""
        self._signal += float(np.square(exact, dtype=np.float64).sum())
        self._noise += float(np.square(exact - rounded, dtype=np.float64).sum())
        self._values += exact.size // exact.shape[-1] if exact.ndim else 1
        for side, values in enumerate((exact, rounded)):
            self._limits[side] = _wider(self._limits[side], values)

    def row(self) -> dict[str, Any]:
        """{"op", "name", "sqnr_db"}: 10 log10 of the signal's power over the power of the difference."""
        return {"op": self.op.name, "name": self.op.outputs[0].name, "sqnr_db": self._sqnr()}

    def _sqnr(self) -> float:
        if not np.isfinite(self._signal + self._noise):
            return -MOST
        if not self._noise:
            return MOST
        return float(np.clip(10 * np.log10(max(self._signal, 1e-30) / self._noise), -MOST, MOST))

    def stuck(self) -> tuple[int, int]:
        """How many channels stand still in the file though they move in the model, and how many there are."""
        (low, high), (least, most) = self._limits
        levels = MOVED if self._values >= FEW else MOVED_OF_FEW
        far = high - low > levels * (high.max() - low.min()) / LEVELS
        return int((far & (least == most)).sum()), len(low)

    def finding(self) -> str:
        """A line, where channels are stuck."""
        stuck, channels = self.stuck()
        name = f"{self.op.name} {self.op.outputs[0].short}"
        text = f"{name}: {stuck} of {channels} channels say the same to every picture; the model's do not."
        return text if stuck else ""


def _wider(limits: Any, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
    low, high = rows.min(axis=0), rows.max(axis=0)
    return (low, high) if limits is None else (np.minimum(limits[0], low), np.maximum(limits[1], high))
