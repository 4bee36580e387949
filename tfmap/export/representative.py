"""Typical inputs for calibration: real training pictures, through the pipeline that the model was trained with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfmap import pipeline, tasks
from tfmap.errors import InputError
from tfmap.source import Split


def calibration(
    split: Split, *, shape: tuple[int, int, int], count: int, seed: int = 0, task: str = "classification"
) -> np.ndarray:
    """Typical pictures, as many of each class as there are.

    Args:
        split: training examples. Calibrating on validation pictures would let them judge a file that has seen them.
        shape: (height, width, channels) of the model's input.
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
    return pictures(split.take(stratified(split.labels, count, seed=seed)), shape=shape, task=task)[0]


def others(
    split: Split, *, shape: tuple[int, int, int], count: int, after: int, seed: int = 0, task: str = "classification"
) -> np.ndarray:
    """Further pictures, spread over the classes too, of which `calibration` has taken none.

    Args:
        split: the same examples.
        shape: (height, width, channels) of the model's input.
        count: how many at most: what calibration has left may be fewer.
        after: the count of `calibration`.
        seed: the same.
        task: the same.

    Returns:
        uint8 (N, height, width, C); N may be 0.
    """
    rest = stratified(split.labels, after + count, seed=seed)[after:]
    if not len(rest):
        return np.zeros((0, *shape), np.uint8)
    return pictures(split.take(rest), shape=shape, task=task)[0]


def pictures(
    split: Split, *, shape: tuple[int, int, int], task: str = "classification"
) -> tuple[np.ndarray, np.ndarray]:
    """The pictures of a split as the model sees them at inference, in order.

    Args:
        split: examples.
        shape: (height, width, channels) of the model's input.
        task: which task prepares the pictures.

    Returns:
        uint8 (N, height, width, C) and their ids, str (N,). One that cannot be read any more is left out.
    """
    images, ids = [], []
    for batch in read(split, shape=shape, task=task):
        images.append(batch["image"])
        ids += [name.decode() for name in batch["id"]]
    return np.concatenate(images), np.array(ids, dtype=str)


def read(split: Split, *, shape: tuple[int, int, int], task: str = "classification") -> Iterator[dict[str, np.ndarray]]:
    """The pictures as `pictures` gives them, batch by batch, with whatever else a batch holds; no padding."""
    found = pipeline.in_order(split, size=shape[:2], channels=shape[2], prepare=tasks.get(task).prepare)
    for batch in found:
        real = batch["weight"] > 0
        yield {key: array[real] for key, array in batch.items()}


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
