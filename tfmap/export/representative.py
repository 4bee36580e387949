"""Typical inputs for calibration: real training pictures, through the pipeline that the model was trained with."""

from __future__ import annotations

import numpy as np

from tfmap import tasks
from tfmap.errors import InputError
from tfmap.pipeline import batches
from tfmap.source import Split


def calibration(
    split: Split, *, size: tuple[int, int], count: int, seed: int = 0, task: str = "classification"
) -> np.ndarray:
    """Typical pictures, as many of each class as there are.

    Args:
        split: training examples. Calibrating on validation pictures would let them judge a file that has seen them.
        size: (height, width) of the model's input in pixels.
        count: how many; all of a smaller split.
        seed: of the choice.
        task: which task prepares the pictures.

    Returns:
        uint8 (N, height, width, C).

    Raises:
        InputError: the split is empty, or count is below 1.
    """
    if not len(split):
        raise InputError("export: the split to take typical pictures from is empty. Expected training pictures.")
    if count < 1:
        raise InputError(f"export.samples must be at least 1, received {count}. 100 to 500 is usual.")
    return pictures(split.take(stratified(split.labels, count, seed=seed)), size=size, task=task)


def pictures(split: Split, *, size: tuple[int, int], task: str = "classification") -> np.ndarray:
    """Every picture of a split as the model sees it at inference, in order.

    Args:
        split: N examples.
        size: (height, width) of the model's input in pixels.
        task: which task prepares the pictures.

    Returns:
        uint8 (N, height, width, C).
    """
    found = batches(split, size=size, prepare=tasks.get(task).prepare, cache="off")
    return np.concatenate([batch["image"].numpy()[batch["weight"].numpy() > 0] for batch in found])


def stratified(labels: np.ndarray, count: int, *, seed: int = 0) -> np.ndarray:
    """Indices of examples, taken from the classes in turn until one runs out, then from the others.

    Equal shares rather than natural ones: a rare class has ranges too, and a natural draw of 200 may miss it.

    Args:
        labels: int32 (N,), or float32 (N, K) of 0 and 1, where an example counts for the first of its classes.
        count: how many; at most N.
        seed: of the choice.

    Returns:
        int64 (min(count, N),): without repetition.
    """
    groups = labels if labels.ndim == 1 else labels.argmax(axis=1)
    order = np.random.default_rng(seed).permutation(len(groups))
    turn = np.empty(len(groups), np.int64)  # how many of its class stand before it
    for group in np.unique(groups):
        places = order[groups[order] == group]
        turn[places] = np.arange(len(places))
    return order[np.argsort(turn[order], kind="stable")][:count]
