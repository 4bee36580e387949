"""The maths of a classifier's score: probabilities and truths in, plain numbers out, ready for strict JSON.

A number that the data cannot give is None, never NaN: the recall of a class that no example has, the precision of a
class that was never predicted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmap.errors import InputError

BINS = 15  # of the calibration error, as in Guo et al.
EPSILON = 1e-7  # an int8 file says exactly 0; its log loss stays finite
CURVE_POINTS = 200


def single_label(probabilities: np.ndarray, truths: np.ndarray, classes: Sequence[str]) -> dict:
    """Score a classifier whose pictures have one class each.

    The macro and weighted averages run over the classes that `truths` holds; a class of these that is never predicted
    counts with precision 0. A micro average would be the accuracy once more.

    Args:
        probabilities: float32 (N, K), 0..1. Rows need not sum to exactly 1: those of an int8 file do not.
        truths: int32 (N,), in [0, K).
        classes: the K class names.

    Returns:
        dict: "examples", "accuracy", "top_5" (None where K <= 5: it would say nothing), "precision_macro",
            "precision_weighted", the same two of "recall" and "f1", "log_loss" (nats), "ece" (0..1), "per_class" (a
            list of dicts: class, support, predicted, precision, recall, f1, average_precision, auc) and
            "confusion_matrix" (K lists of K counts: rows are truths, columns predictions).

    Raises:
        InputError: shapes that disagree, no examples, values that are not finite, or a label outside [0, K).

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 2 (the calibration error).
    """
    from sklearn.metrics import confusion_matrix

    probabilities, truths = _checked(probabilities, truths, classes, rank=1)
    count, size = probabilities.shape
    predicted = probabilities.argmax(axis=1)
    own = probabilities[np.arange(count), truths]
    # Strictly greater: among equal scores the true class gets the benefit, as in tf.math.in_top_k.
    rank = (probabilities > own[:, None]).sum(axis=1)
    return {
        "examples": count,
        "accuracy": float(np.mean(predicted == truths)),
        "top_5": float(np.mean(rank < 5)) if size > 5 else None,
        **_averages(truths, predicted, np.unique(truths), ("macro", "weighted")),
        "log_loss": float(-np.log(np.clip(own, EPSILON, 1)).mean()),
        "ece": calibration_error(reliability(probabilities, truths)),
        "per_class": _per_class(probabilities, _hot(truths, size), _hot(predicted, size), classes),
        "confusion_matrix": confusion_matrix(truths, predicted, labels=np.arange(size)).tolist(),
    }


def multi_label(probabilities: np.ndarray, truths: np.ndarray, classes: Sequence[str], threshold: float = 0.5) -> dict:
    """Score a classifier whose pictures may have several classes, or none.

    Args:
        probabilities: float32 (N, K), 0..1, each class for itself.
        truths: float32 (N, K) of 0 and 1.
        classes: the K class names.
        threshold: a class is predicted from this probability on.

    Returns:
        dict: "examples", "threshold", "accuracy" (share of the N*K yes-or-no answers), "subset_accuracy" (share of
            pictures with every answer right), "map" (mean of the average precisions of the classes that occur),
            "precision_macro", "precision_weighted", "precision_micro", the same three of "recall" and "f1", "log_loss"
            (nats, mean binary cross-entropy), "ece" (0..1, over all answers), "per_class" and "confusion_matrix" (K
            lists [[true negatives, false positives], [false negatives, true positives]]).

    Raises:
        InputError: shapes that disagree, no examples, values that are not finite, or a truth that is neither 0 nor 1.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 2 (the calibration error).
    """
    from sklearn.metrics import multilabel_confusion_matrix

    probabilities, truths = _checked(probabilities, truths, classes, rank=2)
    predicted = (probabilities >= threshold).astype(np.int32)
    own = np.where(truths == 1, probabilities, 1 - probabilities)
    per_class = _per_class(probabilities, truths, predicted, classes)
    precisions = [row["average_precision"] for row in per_class if row["average_precision"] is not None]
    present = np.flatnonzero(truths.any(axis=0))
    return {
        "examples": len(truths),
        "threshold": float(threshold),
        "accuracy": float(np.mean(predicted == truths)),
        "subset_accuracy": float(np.mean((predicted == truths).all(axis=1))),
        "map": float(np.mean(precisions)) if precisions else None,
        **_averages(truths, predicted, present, ("macro", "weighted", "micro")),
        "log_loss": float(-np.log(np.clip(own, EPSILON, 1)).mean()),
        "ece": calibration_error(reliability(probabilities, truths)),
        "per_class": per_class,
        "confusion_matrix": multilabel_confusion_matrix(truths, predicted, labels=range(len(classes))).tolist(),
    }


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
        InputError: as `single_label`.
    """
    probabilities, truths = _checked(probabilities, truths, classes, rank=np.ndim(truths))
    hot = truths if truths.ndim == 2 else _hot(truths, len(classes))
    return [_curve(name, probabilities[:, k], hot[:, k]) for k, name in enumerate(classes)]


def _curve(name: str, scores: np.ndarray, truths: np.ndarray) -> dict:
    from sklearn.metrics import precision_recall_curve, roc_curve

    precision_recall, roc = (np.zeros(0), np.zeros(0)), (np.zeros(0), np.zeros(0))
    if truths.any():
        precision_recall = precision_recall_curve(truths, scores)[:2]
    if truths.any() and not truths.all():
        roc = roc_curve(truths, scores)[:2]
    return {
        "class": name,
        **_areas(scores, truths),
        "recall": _thin(precision_recall[1]),
        "precision": _thin(precision_recall[0]),
        "false_positive_rate": _thin(roc[0]),
        "true_positive_rate": _thin(roc[1]),
    }


def _areas(scores: np.ndarray, truths: np.ndarray) -> dict:
    from sklearn.metrics import average_precision_score, roc_auc_score

    both = truths.any() and not truths.all()
    return {
        "average_precision": float(average_precision_score(truths, scores)) if truths.any() else None,
        "auc": float(roc_auc_score(truths, scores)) if both else None,
    }


def _thin(values: np.ndarray) -> list[float]:
    if len(values) > CURVE_POINTS:
        values = values[np.linspace(0, len(values) - 1, CURVE_POINTS).round().astype(int)]
    return [round(float(value), 5) for value in values]


def _averages(truths: np.ndarray, predicted: np.ndarray, labels: np.ndarray, kinds: Sequence[str]) -> dict:
    """Precision, recall and F1 over the classes `labels`; the micro average counts the answers of every class."""
    from sklearn.metrics import precision_recall_fscore_support

    numbers = {}
    for kind in kinds:
        chosen = None if kind == "micro" or not len(labels) else labels
        found = precision_recall_fscore_support(truths, predicted, labels=chosen, average=kind, zero_division=0)
        numbers |= {
            f"{name}_{kind}": float(value) for name, value in zip(("precision", "recall", "f1"), found[:3], strict=True)
        }
    return numbers


def _per_class(
    probabilities: np.ndarray, truths: np.ndarray, predicted: np.ndarray, classes: Sequence[str]
) -> list[dict]:
    """One row per class; truths and predicted are (N, K) of 0 and 1."""
    hits, support, answers = (truths * predicted).sum(axis=0), truths.sum(axis=0), predicted.sum(axis=0)
    return [
        {
            "class": name,
            "support": int(support[k]),
            "predicted": int(answers[k]),
            "precision": _share(hits[k], answers[k]),
            "recall": _share(hits[k], support[k]),
            "f1": _share(2 * hits[k], support[k] + answers[k]),
            **_areas(probabilities[:, k], truths[:, k]),
        }
        for k, name in enumerate(classes)
    ]


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _hot(labels: np.ndarray, size: int) -> np.ndarray:
    return np.eye(size, dtype=np.int32)[labels]


def _checked(
    probabilities: np.ndarray, truths: np.ndarray, classes: Sequence[str], *, rank: int
) -> tuple[np.ndarray, np.ndarray]:
    """The two arrays, or the error that says what is wrong with them."""
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
