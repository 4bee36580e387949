"""What a training does about rare classes: factors on the loss, and the priors of logit adjustment.

The remedies, each by its name: train.class_weights balanced or effective_number, train.loss focal or logit_adjustment,
pipeline.sampling balanced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmap.errors import InputError
from tfmap.source import Split

# Cui et al. tried 0.9 to 0.9999. With 0.999 a class of 1,000 pictures counts as 632 different ones, one of 10 as 10.
BETA = 0.999
_LEAST = 1e-3  # of a picture


def check(class_weights: str | Sequence[float], loss: str, pipeline: Mapping[str, Any]) -> None:
    """Refuse two remedies that would each make up for the whole imbalance.

    Raises:
        InputError: more than one of balanced sampling, weights by count, and logit adjustment.
    """
    whole = {
        "pipeline.sampling balanced": pipeline.get("sampling") == "balanced",
        f"train.class_weights {class_weights}": class_weights in ("balanced", "effective_number"),
        "train.loss logit_adjustment": loss == "logit_adjustment",
    }
    chosen = [name for name, there in whole.items() if there]
    if len(chosen) > 1:
        raise InputError(
            f"train: {' and '.join(chosen)} each make up for imbalance; together they overshoot. Choose one."
        )


def class_weights(setting: str | Sequence[float], split: Split, classes: int) -> list[float] | None:
    """Factor per class on the loss. Those by count have a mean of 1 over the pictures: the loss keeps its size.

    Args:
        setting: "none"; "balanced" for N / (K * n_k), which gives each class the same share of the loss;
            "effective_number" for a factor in proportion to (1 - beta) / (1 - beta ** n_k), beta 0.999, which hardly
            tells classes of many thousands apart; or K numbers.
        split: the training split; of masks n_k is the pictures that a class's pixels would fill.
        classes: number of classes K.

    Raises:
        InputError: another word, or not K numbers above 0.

    Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, 2019, equation 2.
    """
    if setting == "none":
        return None
    if setting in ("balanced", "effective_number"):
        counts = _counts(split, classes)
        raw = 1 / counts if setting == "balanced" else (1 - BETA) / (1 - BETA**counts)
        return (raw * len(split) / (raw * counts).sum()).tolist()
    if isinstance(setting, str) or len(setting) != classes or min(setting) <= 0:
        raise InputError(
            f"train.class_weights must be none, balanced, effective_number or {classes} numbers above 0, received "
            f"{setting!r}."
        )
    return [float(factor) for factor in setting]


def priors(split: Split, classes: int) -> list[float]:
    """Share of the training pictures that have each class, in (0, 1).

    Args:
        split: the training split.
        classes: number of classes K.
    """
    # A class in no picture, or in all of them, has no finite odds: as if one picture more or less had it.
    counts = np.minimum(_counts(split, classes), max(len(split) - 1, 1))
    return (counts / max(len(split), 2)).tolist()


def _shares(mask: np.ndarray, classes: int) -> np.ndarray:
    """float64 (K,): of the pixels of a mask that are known."""
    counts = np.bincount(mask.ravel(), minlength=256)[:classes]
    return counts / max(counts.sum(), 1)


def _counts(split: Split, classes: int) -> np.ndarray:
    """float64 (K,): pictures that have each class, at least 1; of masks those that its pixels would fill."""
    if split.masks is not None and split.boxes is None:
        return np.maximum(sum(_shares(split.masks.read(i), classes) for i in range(len(split))), _LEAST)
    labels = split.labels
    counts = labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=classes)
    return np.maximum(counts, 1).astype(np.float64)
