"""What both answer: the task's own metric over the whole split, and the pictures that they disagree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmap import scores, tasks
from tfmap.source import Split

WORST = 20  # pictures listed: what a person looks through
MOVED = 0.05  # of a score: a model that is less moved by its pictures may round to one answer


def scored(
    theirs: np.ndarray, ours: np.ndarray, truths: np.ndarray, *, classes: Sequence[str], task: str, budget: float
) -> dict[str, Any]:
    """The task's metric for both.

    Args:
        theirs: float32 (N, K), scores of the model.
        ours: float32 (N, K), scores of the file.
        truths: int32 (N,), or float32 (N, K) where a picture has several labels.
        classes: K names.
        task: whose metric.
        budget: points that the file may be worse.

    Returns:
        dict: "metric", "keras", "file_metrics", as `tfmap.verify.verify` returns them.
    """
    score = tasks.get(task).score
    keras_metrics, file_metrics = score(theirs, truths, classes=classes), score(ours, truths, classes=classes)
    name = tasks.headline(keras_metrics)
    before, after = keras_metrics[name], file_metrics[name]
    metric = {"name": name, "keras": before, "file": after, "drop_points": 100 * (before - after), "budget": budget}
    if name == "accuracy":
        right = [answers.argmax(axis=1) == truths for answers in (theirs, ours)]
        metric["drop_error"] = 100 * scores.paired_error(*right)
    return {"metric": metric, "keras": keras_metrics, "file_metrics": file_metrics}


def differences(theirs: np.ndarray, ours: np.ndarray, split: Split, classes: Sequence[str]) -> dict[str, Any]:
    """How far the scores are apart, and where most.

    Args:
        theirs: float32 (N, K), scores of the model.
        ours: float32 (N, K), scores of the file.
        split: the N examples.
        classes: K names.

    Returns:
        dict: "agreement", "difference", "disagreements", as `tfmap.verify.verify` returns them.
    """
    several = split.labels.ndim == 2
    alike = ((theirs >= 0.5) == (ours >= 0.5)).all(axis=1) if several else theirs.argmax(axis=1) == ours.argmax(axis=1)
    apart = gaps(ours, theirs)
    worst = np.argsort(-apart.max(axis=1), kind="stable")[:WORST]
    return {
        "agreement": float(alike.mean()),
        "difference": {"max": float(apart.max()), "mean": float(apart.mean())},
        "disagreements": [
            {
                "id": str(split.ids[i]),
                "difference": float(apart[i].max()),
                "keras": _top(theirs[i], classes),
                "file": _top(ours[i], classes),
            }
            for i in worst
        ],
    }


def _top(scores: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    return {"label": classes[int(scores.argmax())], "score": float(scores.max())}


def broken(ours: np.ndarray) -> list[str]:
    """A line where the file answers no number.

    Args:
        ours: float32 (N, K), scores of the file.
    """
    bad = int((~np.isfinite(ours)).any(axis=1).sum())
    return [f"{bad} of {len(ours)} answers hold a score that is no number; such scores are counted as 0."] * bool(bad)


def gaps(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How far scores are apart: 0..1, and 1 where only one of them is a number.

    Args:
        ours: float32 (N, K).
        theirs: float32 (N, K).
    """
    numbers = np.isfinite(ours), np.isfinite(theirs)
    apart = np.abs(np.where(numbers[0], ours, 0) - np.where(numbers[1], theirs, 0))
    return np.where(numbers[0] & numbers[1], apart, (numbers[0] ^ numbers[1]).astype(apart.dtype))


def findings(theirs: np.ndarray, ours: np.ndarray) -> list[str]:
    """A line where the file says the same to every picture and the model does not."""
    if len(ours) > 1 and (ours == ours[0]).all() and np.ptp(theirs, axis=0).max() > MOVED:
        return [f"the file says the same to all {len(ours)} pictures; the model does not."]
    return []
