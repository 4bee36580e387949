"""One file, several ways to run it: all must give the same answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfmap.litert import LiteModel, turns_ms
from tfmap.verify.answers import gaps

THREADS = (1, 2, 4)
# Floats are summed in another order: the largest difference of a score is judged. Integers round halves otherwise, and
# near a decision one step of a logit moves a score far: in the demo's file by up to 0.14 over 227 pictures, by 0.004
# on average, with 99% of them decided alike. So of integers the mean difference is judged.
BOUND = {"float32": 1e-4, "float16": 1e-3}
BOUND_INTEGER = 0.02


def compare(data: bytes, pictures: np.ndarray, *, format: str) -> dict[str, Any]:
    """Run pictures with and without XNNPACK, with one, two and four threads.

    Args:
        data: the file.
        pictures: uint8 (N, H, W, C), values 0..255.
        format: of the file, which says how far answers may differ.

    Returns:
        dict: "pictures"; "bound"; "judged" ("difference", the largest of all scores, or "mean"); "ways" (of {"xnnpack",
            "threads", "difference", "mean", "agreement"}, against XNNPACK with one thread); "findings" (a line per way
            that is over the bound).
    """
    judged = "difference" if format in BOUND else "mean"
    expected, bound = _scores(LiteModel(data), pictures), BOUND.get(format, BOUND_INTEGER)
    ways = [
        {"xnnpack": xnnpack, "threads": threads, **_apart(expected, data, pictures, threads, xnnpack)}
        for xnnpack in (True, False)
        for threads in THREADS
    ]
    far = [way for way in ways if way[judged] > bound]
    return {
        "pictures": len(pictures),
        "bound": bound,
        "judged": judged,
        "ways": ways,
        "findings": [_finding(way, judged, bound) for way in far],
    }


def _apart(expected: np.ndarray, data: bytes, pictures: np.ndarray, threads: int, xnnpack: bool) -> dict[str, float]:
    found = _scores(LiteModel(data, threads=threads, xnnpack=xnnpack), pictures)
    alike = found.argmax(axis=-1) == expected.argmax(axis=-1)
    apart = gaps(found, expected)
    return {"difference": float(apart.max()), "mean": float(apart.mean()), "agreement": float(alike.mean())}


def _scores(model: LiteModel, pictures: np.ndarray) -> np.ndarray:
    """All scores; of a detector those of its boxes, which fall."""
    outputs = model.predict(pictures)
    return outputs["scores"] if isinstance(outputs, dict) else outputs


def _finding(way: dict[str, Any], judged: str, bound: float) -> str:
    kernels = "XNNPACK" if way["xnnpack"] else "the built-in kernels"
    usual = "on average " if judged == "mean" else ""
    return (
        f"scores with {kernels} and {way['threads']} threads differ {usual}by {way[judged]:.4f} from those with "
        f"XNNPACK and one thread; the bound is {bound:g}."
    )


def latencies(data: bytes, reference: bytes, seconds: float) -> dict[str, Any]:
    """Time the file, the file without XNNPACK and the float32 file in turns.

    Args:
        data: the file.
        reference: the float32 file.
        seconds: of timing at each number of threads.

    Returns:
        dict: threads -> {"file", "plain", "float32": {"median", "p90", "iqr"} in milliseconds a call; "ratio" (median
            of file over median of float32); "paired" (the same turn by turn: "median", and the quartiles "low" and
            "high")}.
    """
    found = {}
    for threads in THREADS:
        models = {
            "file": LiteModel(data, threads=threads),
            "plain": LiteModel(data, threads=threads, xnnpack=False),
            "float32": LiteModel(reference, threads=threads),
        }
        times = turns_ms(models, seconds=seconds)
        rows = {name: _spread(values) for name, values in times.items()}
        ratio = rows["file"]["median"] / rows["float32"]["median"]
        found[str(threads)] = {**rows, "ratio": ratio, "paired": _paired(times["file"], times["float32"])}
    return found


def _spread(times: np.ndarray) -> dict[str, float]:
    low, median, high, most = np.percentile(times, [25, 50, 75, 90])
    return {"median": float(median), "p90": float(most), "iqr": float(high - low)}


def _paired(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    low, median, high = np.percentile(np.median(ours, axis=1) / np.median(theirs, axis=1), [25, 50, 75])
    return {"median": float(median), "low": float(low), "high": float(high)}


def memory(data: bytes, reference: bytes) -> dict[str, int]:
    """Bytes of working memory (the arena) of the built-in kernels; the weights come on top.

    Args:
        data: the file.
        reference: the float32 file.

    Returns:
        dict: "file" and "float32".
    """
    return {
        "file": LiteModel(data, xnnpack=False).arena_bytes(),
        "float32": LiteModel(reference, xnnpack=False).arena_bytes(),
    }
