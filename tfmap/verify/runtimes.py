"""One file, several ways to run it: all must give the same answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmap.average_precision import Found
from tfmap.export import class_maps
from tfmap.litert import LiteModel, turns_ms
from tfmap.tasks import detection
from tfmap.tasks.detectors.found import MOST
from tfmap.verify.answers import gaps

THREADS = (1, 2, 4)
# Floats are summed in another order: the largest difference of a score is judged. Integers round halves otherwise, and
# near a decision one step of a logit moves a score far: in the demo's file by up to 0.14 over 227 pictures, by 0.004
# on average, with 99% of them decided alike. So of integers the mean difference is judged.
BOUND = {"float32": 1e-4, "float16": 1e-3}
BOUND_INTEGER = 0.02
# Of boxes, how many of a class's lie on those of the other way (F1), the least of the classes: few near the threshold
# come and go, but a way that never finds a class is at 0.
ALIKE = 0.75


def compare(data: bytes, pictures: np.ndarray, *, format: str) -> dict[str, Any]:
    """Run pictures with and without XNNPACK, with one, two and four threads.

    Args:
        data: the file.
        pictures: uint8 (N, H, W, C), values 0..255.
        format: of the file, which says how far answers may differ.

    Returns:
        dict: "pictures"; "bound"; "judged" ("difference", the largest of all scores, or "mean"; of class maps the share
            of pixels that are of another class); "ways" (of {"xnnpack", "threads", "difference", "mean", "agreement"},
            against XNNPACK with one thread; the agreement of boxes is that of the class with the least); "findings" (a
            line per way that is over the bound).
    """
    expected, bound = LiteModel(data).predict(pictures), BOUND.get(format, BOUND_INTEGER)
    judged = "difference" if format in BOUND and not _says_classes(expected) else "mean"
    ways = [
        {"xnnpack": xnnpack, "threads": threads, **_apart(expected, data, pictures, threads, xnnpack)}
        for xnnpack in (True, False)
        for threads in THREADS
    ]
    far = [way for way in ways if way[judged] > bound]
    other = [way for way in ways if isinstance(expected, dict) and way["agreement"] < ALIKE]
    return {
        "pictures": len(pictures),
        "bound": bound,
        "judged": judged,
        "ways": ways,
        "findings": [*(_finding(way, judged, bound, _says_classes(expected)) for way in far), *map(_other, other)],
    }


def _apart(expected: Any, data: bytes, pictures: np.ndarray, threads: int, xnnpack: bool) -> dict[str, float]:
    found = LiteModel(data, threads=threads, xnnpack=xnnpack).predict(pictures)
    if _says_classes(found):
        apart = np.asarray(found != expected, np.float32)
        alike = 1 - float(apart.mean())
    else:
        apart = gaps(_scores(found), _scores(expected))
        alike = _alike(found, expected) if isinstance(found, dict) else _argmax_alike(found, expected)
    return {"difference": float(apart.max()), "mean": float(apart.mean()), "agreement": alike}


def _says_classes(outputs: Any) -> bool:
    return not isinstance(outputs, dict) and class_maps.is_one(outputs.shape)


def _scores(outputs: Any) -> np.ndarray:
    """All scores; of a detector those of its best boxes, falling: where it looks twice, they may come in any order."""
    if not isinstance(outputs, dict):
        return outputs
    return -np.sort(-outputs["scores"], axis=1)[:, :MOST]


def _argmax_alike(found: np.ndarray, expected: np.ndarray) -> float:
    return float((found.argmax(axis=-1) == expected.argmax(axis=-1)).mean())


def _alike(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """How many boxes of a class lie on each other, over the pictures that have some; the least of the classes."""
    ours, theirs = (detection.decode(one, size=(1, 1)) for one in (found, expected))  # in shares of the picture
    there = {kind for one in (*ours, *theirs) for kind in one.classes[one.scores >= detection.SHOWN].tolist()}
    return min((_of_class(ours, theirs, kind) for kind in there), default=1.0)


def _of_class(ours: Sequence[Found], theirs: Sequence[Found], kind: int) -> float:
    pairs = [tuple(_only(one, kind) for one in pair) for pair in zip(theirs, ours, strict=True)]
    some = [pair for pair in pairs if any((one.scores >= detection.SHOWN).any() for one in pair)]
    return float(detection.alike(*zip(*some, strict=True)).mean())


def _only(found: Found, kind: int) -> Found:
    return found.take(found.classes == kind)


def _other(way: dict[str, Any]) -> str:
    return (
        f"boxes with {_kernels(way)} and {way['threads']} threads are others than with XNNPACK and one thread: of a "
        f"class only {way['agreement']:.0%} lie on each other; the least is {ALIKE:.0%}."
    )


def _kernels(way: dict[str, Any]) -> str:
    return "XNNPACK" if way["xnnpack"] else "the built-in kernels"


def _finding(way: dict[str, Any], judged: str, bound: float, says_classes: bool) -> str:
    if says_classes:
        return (
            f"{_kernels(way)} and {way['threads']} threads see another class at {way['mean']:.2%} of the pixels than "
            f"XNNPACK and one thread; the bound is {bound:.2%}."
        )
    usual = "on average " if judged == "mean" else ""
    return (
        f"scores with {_kernels(way)} and {way['threads']} threads differ {usual}by {way[judged]:.4f} from those with "
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
