"""What both answer: the task's own metric over the whole split, and the pictures that they disagree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmap import scores, tasks
from tfmap.source import Split

WORST = 20  # pictures listed: what a person looks through
MOVED = 0.05  # of a score: a model that is less moved by its pictures may round to one answer


def scored(theirs: Any, ours: Any, truths: Any, *, classes: Sequence[str], task: str, budget: float) -> dict[str, Any]:
    """The task's metric for both.

    Args:
        theirs: answers of the model, as `inference.predict` gives them.
        ours: answers of the file.
        truths: as `tasks.truths` gives them.
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


def differences(theirs: Any, ours: Any, split: Split, *, classes: Sequence[str], task: str) -> dict[str, Any]:
    """How far the answers are apart, and where most.

    Args:
        theirs: answers of the model to N pictures.
        ours: answers of the file.
        split: the N examples.
        classes: K names.
        task: its name.

    Returns:
        dict: "agreement", "difference", "disagreements", as `tfmap.verify.verify` returns them.
    """
    module = tasks.get(task)
    alike = module.alike(theirs, ours, **tasks.accepted(module.alike, multi_label=split.labels.ndim == 2))
    apart = gaps(ours, theirs) if isinstance(ours, np.ndarray) else 1 - alike[:, None]
    worst = np.argsort(-apart.max(axis=1), kind="stable")[:WORST]
    return {
        "agreement": float(alike.mean()),
        "difference": {"max": float(apart.max()), "mean": float(apart.mean())},
        "disagreements": [
            {
                "id": str(split.ids[i]),
                "difference": float(apart[i].max()),
                "keras": _top(module.describe(theirs[i], classes=classes)),
                "file": _top(module.describe(ours[i], classes=classes)),
            }
            for i in worst
        ],
    }


def _top(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The first thing that is said of a picture."""
    first = parts[0] if parts else {"label": "nothing", "score": 0.0}
    return {"label": first["label"], "score": first.get("score", first.get("share"))}


def broken(ours: Any) -> list[str]:
    """A line where the file answers no number.

    Args:
        ours: answers of the file.
    """
    bad = sum(not np.isfinite(part).all() for answer in ours for part in _numbers(answer))
    return [f"{bad} of {len(ours)} answers hold a score that is no number; such scores are counted as 0."] * bool(bad)


def mended(ours: Any) -> Any:
    """The answers, what is no number as 0."""
    if isinstance(ours, np.ndarray):
        return np.where(np.isfinite(ours), ours, 0)
    return [type(one)(*map(np.nan_to_num, one)) if isinstance(one, tuple) else one for one in ours]


def _numbers(answer: Any) -> tuple[np.ndarray, ...]:
    """The floats of an answer that a score is made of."""
    return (answer.scores,) if isinstance(answer, tuple) else (answer,)


def gaps(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How far scores are apart: 0..1, and 1 where only one of them is a number.

    Args:
        ours: float32 (N, K).
        theirs: float32 (N, K).
    """
    numbers = np.isfinite(ours), np.isfinite(theirs)
    apart = np.abs(np.where(numbers[0], ours, 0) - np.where(numbers[1], theirs, 0))
    return np.where(numbers[0] & numbers[1], apart, (numbers[0] ^ numbers[1]).astype(apart.dtype))


def findings(theirs: Any, ours: Any) -> list[str]:
    """A line where the file says the same to every picture and the model does not."""
    if len(ours) < 2 or not all(_same(one, ours[0]) for one in ours) or not _moved(theirs):
        return []
    return [f"the file says the same to all {len(ours)} pictures; the model does not."]


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    if isinstance(one, tuple):
        return all(_same(*pair) for pair in zip(one, other, strict=True))
    return one.shape == other.shape and bool((one == other).all())


def _moved(answers: Any) -> bool:
    """Whether a model's answers differ from picture to picture by more than rounding could hide."""
    if isinstance(answers, np.ndarray):
        return bool(np.ptp(answers, axis=0).max() > MOVED)
    return not all(_same(one, answers[0]) for one in answers)
