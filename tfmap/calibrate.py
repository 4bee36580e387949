"""What a classifier's scores are worth: the temperature that makes them probabilities, and a threshold for each class.

A network's score of 0.9 is right less often than nine times in ten, or more often. Dividing the logits by one number,
fitted on pictures that training has not seen, mends that and changes no decision.

Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmap.curves import calibration_error, checked, hot, reliability
from tfmap.errors import InputError

COLDEST, HOTTEST = 0.05, 20.0  # where a model is always right, the best temperature would be 0
FOLDS = 5  # what a temperature does is told on examples that it was not fitted on
EPSILON = 1e-7


def calibrate(
    scores: np.ndarray, truths: np.ndarray, *, classes: Sequence[str], precision: float | None = None, step: float = 0
) -> dict[str, Any]:
    """Fit a temperature and thresholds, and say what they are worth.

    Args:
        scores: float32 (N, K), 0..1: softmax of a classifier with one label a picture, sigmoids of one with several.
        truths: int32 (N,), or float32 (N, K) of 0 and 1.
        classes: the K class names.
        precision: what each threshold has to reach, in (0, 1]; None for the best F1.
        step: of scores that were rounded, such as 1/256 in a file with uint8 output.

    Returns:
        dict: "examples", "temperature", "ece_before" and "ece_after", "log_loss_before" and "log_loss_after" (with the
            temperature of the other folds, so that no example judges a number it was fitted on; None where there are
            fewer than two examples), "precision" (as asked for) and "classes" (see `thresholds`).

    Raises:
        InputError: shapes that disagree, no examples, or a precision out of range.
    """
    scores, truths = checked(scores, truths, classes, rank=np.ndim(truths))
    own, scores = scores.astype(np.float64), within(scores, step)
    held_out = _held_out(scores, truths)
    return {
        "examples": len(truths),
        "temperature": temperature(scores, truths),
        **_worth(scores, truths, "before"),
        **(_worth(held_out, truths, "after") if held_out is not None else {"ece_after": None, "log_loss_after": None}),
        "precision": precision,
        "classes": thresholds(own, truths, classes=classes, precision=precision),
    }


def floor(step: float) -> float:
    """The least that a score counts for, above 0.

    Args:
        step: of scores that were rounded, such as 1/256: 0 stands for less than half of it. 0 of scores that were not.
    """
    return max(step / 2, EPSILON)


def within(scores: np.ndarray, step: float = 0) -> np.ndarray:
    """A file's scores as `scaled` takes them.

    Args:
        scores: (N, K), 0..1.
        step: as for `floor`.

    Returns:
        float64 (N, K), from `floor(step)` to 1 - 1e-7.
    """
    return np.clip(np.asarray(scores, np.float64), floor(step), 1 - EPSILON)


def temperature(scores: np.ndarray, truths: np.ndarray) -> float:
    """The temperature with the least log loss, 0.05..20; 1 leaves scores as they are, more makes them less sure.

    Args:
        scores: float64 (N, K), in (0, 1).
        truths: int32 (N,), or (N, K) of 0 and 1.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return _log_loss(scaled(scores, np.exp(log_temperature), several=truths.ndim == 2), truths)

    found = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def scaled(scores: np.ndarray, temperature: float, *, several: bool = False) -> np.ndarray:
    """The scores that the logits divided by a temperature give.

    Logits are known from scores up to a constant, which softmax takes away again: softmax(z / T) is s^(1/T), divided by
    the sum over the classes. A sigmoid becomes s^(1/T) / (s^(1/T) + (1 - s)^(1/T)).

    Args:
        scores: (N, K), in (0, 1): those of a file through `within`.
        temperature: above 0.
        several: whether each class is a sigmoid of its own.

    Returns:
        float64 (N, K).
    """
    logs = np.log(scores) / temperature
    others = np.log1p(-scores) / temperature if several else logs.max(axis=1, keepdims=True)
    if several:
        return 1 / (1 + np.exp(np.clip(others - logs, -500, 500)))
    powers = np.exp(logs - others)
    return powers / powers.sum(axis=1, keepdims=True)


def thresholds(
    scores: np.ndarray, truths: np.ndarray, *, classes: Sequence[str], precision: float | None = None
) -> list[dict[str, Any]]:
    """For each class the score from which on it is worth saying.

    Args:
        scores: (N, K), 0..1.
        truths: int32 (N,), or (N, K) of 0 and 1.
        classes: the K class names.
        precision: the share of right ones among the pictures from the threshold on, in (0, 1]; of the thresholds that
            reach it the one that finds most. None: the threshold of the best F1.

    Returns:
        list: a dict per class: "class", "support", "threshold" (halfway between the least score that is taken and the
            next lower one), "precision", "recall" and "f1" there, and "reached": False where no threshold has the
            precision, which leaves the one that comes closest, or where the class has no example, which leaves 0.5.

    Raises:
        InputError: precision out of range.
    """
    if precision is not None and not 0 < precision <= 1:
        raise InputError(f"export.threshold_precision must be above 0 and at most 1, received {precision}.")
    rows = truths if truths.ndim == 2 else hot(truths, len(classes))
    return [_threshold(name, scores[:, k], rows[:, k], precision) for k, name in enumerate(classes)]


def _threshold(name: str, scores: np.ndarray, truths: np.ndarray, precision: float | None) -> dict[str, Any]:
    support = int(truths.sum())
    if not support:
        nothing = {"precision": None, "recall": None, "f1": None, "reached": False}
        return {"class": name, "support": 0, "threshold": 0.5, **nothing}
    cuts, precisions, recalls = _cuts(scores, truths)
    f1 = 2 * precisions * recalls / np.maximum(precisions + recalls, EPSILON)
    good = precisions >= (precision or 0) - 1e-12
    worth = f1 if precision is None else np.where(good, 1 + recalls, precisions)
    best = len(worth) - 1 - int(np.argmax(worth[::-1]))  # of equals the lowest, which finds most
    return {
        "class": name,
        "support": support,
        "threshold": float(cuts[best]),
        "precision": float(precisions[best]),
        "recall": float(recalls[best]),
        "f1": float(f1[best]),
        "reached": bool(good[best]),
    }


def _cuts(scores: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds, highest first, with the precision and the recall of each."""
    values = np.unique(scores)[::-1]
    order = np.argsort(-scores, kind="stable")
    taken = np.searchsorted(-scores[order], -values, side="right")  # examples from each value on
    hits = np.cumsum(truths[order])[taken - 1]
    lower = np.append(values[1:], 0.0)
    return (values + lower) / 2, hits / taken, hits / truths.sum()


def _held_out(scores: np.ndarray, truths: np.ndarray) -> np.ndarray | None:
    """Each example's scores at the temperature of the folds that it is not in."""
    if len(truths) < 2:
        return None
    folds = np.random.default_rng(0).permutation(len(truths)) % min(FOLDS, len(truths))
    result = np.empty_like(scores)
    for fold in np.unique(folds):
        inside = folds == fold
        fitted = temperature(scores[~inside], truths[~inside])
        result[inside] = scaled(scores[inside], fitted, several=truths.ndim == 2)
    return result


def _worth(scores: np.ndarray, truths: np.ndarray, when: str) -> dict[str, float]:
    error = calibration_error(reliability(scores, truths))
    return {f"ece_{when}": float(error), f"log_loss_{when}": _log_loss(scores, truths)}


def _log_loss(scores: np.ndarray, truths: np.ndarray) -> float:
    if truths.ndim == 2:
        own = np.where(truths == 1, scores, 1 - scores)
    else:
        own = scores[np.arange(len(truths)), truths]
    return float(-np.log(np.maximum(own, EPSILON)).mean())
