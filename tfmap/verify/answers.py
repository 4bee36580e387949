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
    # With several labels a picture, accuracy is high for a model that always says no.
    name = "map" if keras_metrics.get("map") is not None else "accuracy"
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
    gaps = np.abs(ours - theirs)
    worst = np.argsort(-gaps.max(axis=1), kind="stable")[:WORST]
    return {
        "agreement": float(alike.mean()),
        "difference": {"max": float(gaps.max()), "mean": float(gaps.mean())},
        "disagreements": [
            {
                "id": str(split.ids[i]),
                "difference": float(gaps[i].max()),
                "keras": _top(theirs[i], classes),
                "file": _top(ours[i], classes),
            }
            for i in worst
        ],
    }


def _top(scores: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    return {"label": classes[int(scores.argmax())], "score": float(scores.max())}


def findings(theirs: np.ndarray, ours: np.ndarray) -> list[str]:
    """A line where the file says the same to every picture and the model does not; one where it answers no number."""
    if not np.isfinite(ours).all():
        return [f"{int((~np.isfinite(ours)).any(axis=1).sum())} of {len(ours)} answers hold a score that is no number."]
    if len(ours) > 1 and (ours == ours[0]).all() and np.ptp(theirs, axis=0).max() > MOVED:
        return [f"the file says the same to all {len(ours)} pictures; the model does not."]
    return []
