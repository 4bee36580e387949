"""Layer by layer: what each op of the file says to real pictures, beside the same op of the float file.

Errors add up on the way: a layer's figure holds what all before it lost. Where the figure falls, the loss is.
A tensor that only depthwise convolutions read may have other scales in the file: export has equalised it. So may the
centred picture, where the first kernels carry the factor of the normalisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfmap import flatbuffer
from tfmap.graph import Graph, Op, Tensor
from tfmap.litert import LiteModel
from tfmap.verify.alignment import Pair

WORST = 10
MOST = 200.0  # dB of a layer that is equal to the last bit: a number, because JSON has no infinity
LEVELS = 255  # of a tensor's range
# A channel that moves by so many of them in the model must move in the file. One that has said little, as behind a
# pooling, may have rounded to the same number for every picture: those of MobileNetV3's squeeze layers do.
MOVED, MOVED_OF_FEW, FEW = 16, 128, 256
# What is worked out from comparisons, as suppression is, says which places stay: its last axis is no channel, and most
# of it never changes. Up to an op that chooses by it, or that has channels of its own.
COMPARISONS = ("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "EQUAL", "NOT_EQUAL")
ENDING = ("TOPK_V2", "ARG_MAX", "GATHER", "GATHER_ND", "BATCH_MATMUL", "FULLY_CONNECTED", "CONV_2D")
PASSING = ("PAD", "PADV2", "RELU", "RELU6", "LEAKY_RELU")  # ops that give s f(x) for s x


def compare(
    pairs: Sequence[Pair],
    theirs: bytes,
    ours: bytes,
    pictures: np.ndarray,
    further: Callable[[], np.ndarray] | None = None,
) -> dict[str, Any]:
    """Run pictures through both files and compare every op.

    Args:
        pairs: ops of the float file and of the file that compute the same thing.
        theirs: the float file.
        ours: the file.
        pictures: uint8 (N, H, W, C), values 0..255.
        further: gives more of them, for channels that seem to stand still: some answer to one picture in a hundred.

    Returns:
        dict: "pictures"; "compared" (ops); "median_db" (signal-to-quantisation-noise ratio, None where nothing was
            compared); "worst" (up to ten of {"op", "name", "sqnr_db"}, worst first); "rows" (all of them, in order);
            "findings" (a line per op with channels that stand still in the file alone).
    """
    graph = flatbuffer.read(ours)
    free, chosen = _rescalable(graph) | _centred(graph), _choices(graph)
    meters = [Meter(op, free=op.outputs[0].index in free) for _, op in pairs]
    models = LiteModel(theirs, keep=True), LiteModel(ours, keep=True)
    for values in _values(pairs, models, pictures):
        for meter, exact, rounded in zip(meters, *values, strict=True):
            meter.add(exact, rounded)
    rows = [meter.row() for meter in meters]
    channelled = [op.outputs[0].index not in chosen for _, op in pairs]
    still = [(m, pair) for m, pair, has in zip(meters, pairs, channelled, strict=True) if has and m.stuck()[0]]
    for values in _values([pair for _, pair in still], models, further()) if still and further else ():
        for (meter, _), exact, rounded in zip(still, *values, strict=True):
            meter.look(exact, rounded)
    worst = sorted(rows, key=lambda row: row["sqnr_db"])[:WORST]
    return {
        "pictures": len(pictures),
        "compared": len(rows),
        "median_db": float(np.median([row["sqnr_db"] for row in rows])) if rows else None,
        "worst": worst,
        "rows": rows,
        "findings": [line for meter, _ in still if (line := meter.finding())],
    }


def _values(pairs: Sequence[Pair], models: Sequence[LiteModel], pictures: np.ndarray) -> Iterator[list[list]]:
    """What the ops of the float file and of the file say, in their order, a batch of pictures at a time."""
    indices = [[op.outputs[0].index for op in side] for side in zip(*pairs, strict=True)] or [[], []]
    step = models[1].input_shape[0]
    for start in range(0, len(pictures), step):
        batch = pictures[start : start + step]
        yield [model.inside(batch, places) for model, places in zip(models, indices, strict=True)]


class Meter:
    """What an op said so far, in the float file and in the file.

    Args:
        op: of the file.
        free: whether the file may give each of its channels in another scale than the model does; the difference
            counts after that is taken back.
    """

    def __init__(self, op: Op, *, free: bool = False) -> None:
        self.op, self.free = op, free
        self._signal = self._noise = 0.0
        self._products: Any = 0.0  # of each channel: model by model, model by file, file by file
        self._values = 0  # of each channel
        self._limits: list[Any] = [None, None]  # of each side: least and largest value of each channel

    def add(self, exact: np.ndarray, rounded: np.ndarray) -> None:
        """Take the answers to a batch: float32 of one shape, channels last."""
        self._signal += float(np.square(exact, dtype=np.float64).sum())
        self._noise += float(np.square(exact - rounded, dtype=np.float64).sum())
        if self.free:
            self._products = self._products + _products(exact, rounded)
        self.look(exact, rounded)

    def look(self, exact: np.ndarray, rounded: np.ndarray) -> None:
        """Take answers for the sake of channels that stand still alone."""
        self._values += exact.size // exact.shape[-1] if exact.ndim else 1
        for side, values in enumerate((exact, rounded)):
            self._limits[side] = _wider(self._limits[side], values)

    def row(self) -> dict[str, Any]:
        """{"op", "name", "sqnr_db"}: 10 log10 of the signal's power over the power of the difference."""
        return {"op": self.op.name, "name": self.op.outputs[0].name, "sqnr_db": self._sqnr()}

    def _sqnr(self) -> float:
        noise = self._unscaled() if self.free and self._noise else self._noise
        if not np.isfinite(self._signal + noise):
            return -MOST
        if not noise:
            return MOST
        return float(np.clip(10 * np.log10(max(self._signal, 1e-30) / noise), -MOST, MOST))

    def _unscaled(self) -> float:
        """The noise that the best scale of each channel leaves."""
        if not np.isfinite(self._products).all():
            return np.nan
        exact, both, rounded = self._products
        shared = np.divide(np.square(np.maximum(both, 0)), rounded, out=np.zeros_like(both), where=rounded > 0)
        return float(np.maximum(exact - shared, 0).sum())

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


def _products(exact: np.ndarray, rounded: np.ndarray) -> np.ndarray:
    """Sums over all but the last axis, (3, C)."""
    sides = [values.astype(np.float64).reshape(-1, values.shape[-1]) for values in (exact, rounded)]
    return np.stack([(sides[i] * sides[j]).sum(axis=0) for i, j in ((0, 0), (0, 1), (1, 1))])


def _choices(graph: Graph) -> set[int]:
    """Tensors, by index, that say which places stay: see COMPARISONS."""
    found: set[int] = set()
    for op in graph.ops:
        follows = op.name not in ENDING and any(tensor.index in found for tensor in op.inputs)
        if op.name in COMPARISONS or follows:
            found |= {tensor.index for tensor in op.outputs}
    return found


def _rescalable(graph: Graph) -> set[int]:
    """Tensors, by index, that depthwise convolutions alone read: see `tfmap.export.equalisation`."""
    readers: dict[int, list[Op]] = {}
    for op in graph.ops:
        for tensor in op.inputs:
            readers.setdefault(id(tensor), []).append(op)

    def only(tensor: Tensor) -> bool:
        ops = readers.get(id(tensor), [])
        return bool(ops) and all(_is_depthwise(op) or (op.name in PASSING and only(op.outputs[0])) for op in ops)

    return {op.outputs[0].index for op in graph.ops if op.outputs and only(op.outputs[0])}


def _centred(graph: Graph) -> set[int]:
    """Tensors, by index, that are the picture less its mean: see `tfmap.export.folding`."""
    pictures, found = {tensor.index for tensor in graph.inputs}, set()
    for op in graph.ops:
        if not op.inputs or op.inputs[0].index not in pictures:
            continue
        if op.name == "QUANTIZE":
            pictures.add(op.outputs[0].index)
        elif op.name in ("ADD", "SUB") and op.inputs[1].data is not None:
            found.add(op.outputs[0].index)
    return found


def _is_depthwise(op: Op) -> bool:
    return op.name == "DEPTHWISE_CONV_2D"


def _wider(limits: Any, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
    low, high = rows.min(axis=0), rows.max(axis=0)
    return (low, high) if limits is None else (np.minimum(limits[0], low), np.maximum(limits[1], high))
