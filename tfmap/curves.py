"""What a classifier's answers look like as curves: precision-recall, ROC and reliability.

A number that the data cannot give is None, never NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmap.errors import InputError

BINS = 15  # of the calibration error, as in Guo et al.
CURVE_POINTS = 200  # more than a plot can show


def reliability(probabilities: np.ndarray, truths: np.ndarray) -> list[dict]:
    """How often the model is right, by how sure it is: the bars of a reliability diagram.

    With one label per picture an answer is the top class and its probability; with several, each class is an answer.

    Args:
        probabilities: float32 (N, K), 0..1.
        truths: int32 (N,) or float32 (N, K) of 0 and 1.

    Returns:
        list: one dict per bin (low, high] of width 1/15 (0 falls into the first): "low", "high", "count", and
            "confidence" and "accuracy", the means over the bin, None where it is empty.
    """
    if truths.ndim == 1:
        confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truths
    else:
        confidence, right = probabilities.ravel(), truths.ravel() == 1
    # float64: 14/15 in float32 is on the other side of the edge
    edges = np.linspace(0, 1, BINS + 1)
    places = np.clip(np.searchsorted(edges, confidence.astype(np.float64), side="left") - 1, 0, BINS - 1)
    return [_bin(edges[i], edges[i + 1], confidence[places == i], right[places == i]) for i in range(BINS)]


def _bin(low: float, high: float, confidence: np.ndarray, right: np.ndarray) -> dict:
    means = (float(confidence.mean(dtype=np.float64)), float(right.mean())) if len(right) else (None, None)
    return {"low": float(low), "high": float(high), "count": len(right), "confidence": means[0], "accuracy": means[1]}


def calibration_error(bins: Sequence[dict]) -> float:
    """Expected calibration error, 0..1: the mean gap of confidence and accuracy over `reliability` bins, by count."""
    total = sum(row["count"] for row in bins)
    return sum(row["count"] * abs(row["confidence"] - row["accuracy"]) for row in bins if row["count"]) / total


def curves(probabilities: np.ndarray, truths: np.ndarray, classes: Sequence[str]) -> list[dict]:
    """One-vs-rest precision-recall and ROC curves, thinned to at most 200 points each.

    Args:
        probabilities: float32 (N, K), 0..1.
        truths: int32 (N,) or float32 (N, K) of 0 and 1.
        classes: the K class names.

    Returns:
        list: one dict per class: "class", "average_precision" and "auc" (None where undefined), "recall" and
            "precision", "false_positive_rate" and "true_positive_rate": lists of numbers, empty where undefined.

    Raises:
        InputError: as `checked`.
    """
    probabilities, truths = checked(probabilities, truths, classes, rank=np.ndim(truths))
    rows = truths if truths.ndim == 2 else hot(truths, len(classes))
    return [_curve(name, probabilities[:, k], rows[:, k]) for k, name in enumerate(classes)]


def _curve(name: str, scores: np.ndarray, truths: np.ndarray) -> dict:
    from sklearn.metrics import precision_recall_curve, roc_curve

    precision_recall, roc = (np.zeros(0), np.zeros(0)), (np.zeros(0), np.zeros(0))
    if truths.any():
        precision_recall = precision_recall_curve(truths, scores)[:2]
    if truths.any() and not truths.all():
        roc = roc_curve(truths, scores)[:2]
    return {
        "class": name,
        **areas(scores, truths),
        "recall": thin(precision_recall[1]),
        "precision": thin(precision_recall[0]),
        "false_positive_rate": thin(roc[0]),
        "true_positive_rate": thin(roc[1]),
    }


def areas(scores: np.ndarray, truths: np.ndarray) -> dict:
    """Average precision and area under the ROC curve of one class; scores (N,), truths (N,) of 0 and 1."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    both = truths.any() and not truths.all()
    return {
        "average_precision": float(average_precision_score(truths, scores)) if truths.any() else None,
        "auc": float(roc_auc_score(truths, scores)) if both else None,
    }


def thin(values: np.ndarray) -> list[float]:
    """At most 200 of the values float (N,), evenly spread, as rounded numbers."""
    if len(values) > CURVE_POINTS:
        values = values[np.linspace(0, len(values) - 1, CURVE_POINTS).round().astype(int)]
    return [round(float(value), 5) for value in values]


def hot(labels: np.ndarray, size: int) -> np.ndarray:
    """Class indices (N,) as int32 (N, size) of 0 and 1."""
    return np.eye(size, dtype=np.int32)[labels]


def checked(
    probabilities: np.ndarray, truths: np.ndarray, classes: Sequence[str], *, rank: int
) -> tuple[np.ndarray, np.ndarray]:
    """The two arrays, truths as int32, or the error that says what is wrong with them.

    Raises:
        InputError: shapes that disagree, no examples, values that are not finite, or a truth out of range.
    """
    probabilities, truths = np.asarray(probabilities), np.asarray(truths)
    size = len(classes)
    if probabilities.shape != (len(truths), size) or truths.shape != probabilities.shape[:rank]:
        raise InputError(
            f"score: expected probabilities (N, {size}) and truths {'(N,)' if rank == 1 else f'(N, {size})'} for "
            f"{size} classes, received {probabilities.shape} and {truths.shape}."
        )
    if not len(truths):
        raise InputError("score: no examples to score. Expected at least one.")
    if not np.isfinite(probabilities).all():
        bad = (~np.isfinite(probabilities)).any(axis=1).sum()
        raise InputError(f"score: {bad} of {len(truths)} predictions hold NaN or infinity: the model has diverged.")
    limit = size if rank == 1 else 2
    wrong = truths[(truths < 0) | (truths >= limit) | (truths != np.floor(truths))]
    if wrong.size:
        raise InputError(f"score: truths must be whole numbers in [0, {limit}), received {wrong.flat[0]}.")
    return probabilities, truths.astype(np.int32)
