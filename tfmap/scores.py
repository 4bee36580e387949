"""The maths of a classifier's score: probabilities and truths in, plain numbers out, ready for strict JSON.

A number that the data cannot give is None, never NaN: the recall of a class that no example has, the precision of a
class that was never predicted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tfmap.curves import areas, calibration_error, checked, hot, reliability

MISTAKES = 50  # kept per split: what a person looks through in a sitting
EPSILON = 1e-7  # an int8 file says exactly 0; its log loss stays finite


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

    probabilities, truths = checked(probabilities, truths, classes, rank=1)
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
        "log_loss": float(np.log(1 / np.clip(own, EPSILON, 1)).mean()),
        "ece": calibration_error(reliability(probabilities, truths)),
        "per_class": _per_class(probabilities, hot(truths, size), hot(predicted, size), classes),
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

    probabilities, truths = checked(probabilities, truths, classes, rank=2)
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
        "log_loss": float(np.log(1 / np.clip(own, EPSILON, 1)).mean()),
        "ece": calibration_error(reliability(probabilities, truths)),
        "per_class": per_class,
        "confusion_matrix": multilabel_confusion_matrix(truths, predicted, labels=range(len(classes))).tolist(),
    }


def paired_error(before: np.ndarray, after: np.ndarray) -> float:
    """How far chance alone may move the difference of two accuracies on the same examples: its standard error.

    Only the examples on which one is right and the other wrong say anything, so it is far smaller than the error of
    either accuracy.

    Args:
        before: bool (N,): which examples the first got right.
        after: bool (N,): the same of the second.

    Returns:
        in accuracy, 0..1.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions, 1947.
    """
    gains, losses = np.mean(after & ~before), np.mean(before & ~after)
    return float(np.sqrt((gains + losses - (gains - losses) ** 2) / len(before)))


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
            **areas(probabilities[:, k], truths[:, k]),
        }
        for k, name in enumerate(classes)
    ]


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def worst(
    probabilities: np.ndarray, truths: np.ndarray, ids: Sequence[str], classes: Sequence[str], limit: int = MISTAKES
) -> list[dict[str, Any]]:
    """The mistakes that the model is surest of: often wrong labels, always worth a look.

    Args:
        probabilities: float32 (N, K).
        truths: int32 (N,), or float32 (N, K) of 0 and 1.
        ids: N source paths.
        classes: K names.
        limit: how many at most.

    Returns:
        list: dicts of "id", "truth" and "predicted" (class names; with several labels joined by ", ", "none" for no
            label), and "score": the probability of the wrong class; with several labels, that of the answer which is
            wrong by most. Largest score first, ties by id.
    """
    find = _wrong_sets if truths.ndim == 2 else _wrong_classes
    found = [
        {"id": str(ids[i]), "truth": truth, "predicted": answer, "score": round(float(score), 6)}
        for i, truth, answer, score in find(probabilities, truths, classes)
    ]
    return sorted(found, key=lambda row: (-row["score"], row["id"]))[:limit]


def _wrong_classes(probabilities: np.ndarray, truths: np.ndarray, classes: Sequence[str]) -> Iterable[tuple]:
    predicted = probabilities.argmax(axis=1)
    for i in (predicted != truths).nonzero()[0]:
        yield i, classes[truths[i]], classes[predicted[i]], probabilities[i, predicted[i]]


def _wrong_sets(probabilities: np.ndarray, truths: np.ndarray, classes: Sequence[str]) -> Iterable[tuple]:
    predicted = probabilities >= 0.5
    for i in (predicted != truths).any(axis=1).nonzero()[0]:
        yield i, _names(truths[i], classes), _names(predicted[i], classes), abs(probabilities[i] - truths[i]).max()


def _names(row: np.ndarray, classes: Sequence[str]) -> str:
    return ", ".join(name for name, there in zip(classes, row, strict=True) if there) or "none"
