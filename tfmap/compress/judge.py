"""How good a compressed Keras model is on the pictures that its epochs were chosen by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import keras
import numpy as np

from tfmap import tasks
from tfmap.compress.finetune import Feed
from tfmap.instances import Truths
from tfmap.source import Boxes

_KEYS = {"boxes": ("boxes", "classes"), "instances": ("boxes", "classes", "instances")}


def scores(model: keras.Model, feed: Feed, task: ModuleType, classes: Sequence[str]) -> dict[str, float]:
    """The numbers that models are compared by, such as "accuracy" and "mAP"; none without validation.

    Boxes, objects and masks are judged as the model sees them, in pixels of its input.

    Args:
        model: images (B, H, W, C), values 0..255 -> what the task's OUTPUTS says.
        feed: its validation batches, of which rows without weight only fill the last.
        task: its module.
        classes: K names.
    """
    target = tasks.target(task)
    pairs = list(_answers(model, feed, task, target))
    if not pairs:
        return {}
    answers, truths = (_joined(part) for part in zip(*pairs, strict=True))
    found = task.score(answers, _truths(truths, target), classes=classes)
    return {name: float(found[name]) for name in tasks.HEADLINES if found.get(name) is not None}


def _answers(model: keras.Model, feed: Feed, task: ModuleType, target: str) -> Iterator[tuple[Any, Any]]:
    """What the model makes of each batch's pictures, and what is true of them."""
    for batch in feed.val() or ():
        real = batch["weight"].numpy() > 0
        outputs = model.predict_on_batch(batch["image"])
        kept = keras.tree.map_structure(lambda one, real=real: np.asarray(one, np.float32)[real], outputs)
        truths = [batch[key].numpy()[real] for key in _KEYS.get(target, (target,))]
        answers = task.decode(kept, **tasks.accepted(task.decode, size=model.input_shape[1:3]))
        yield answers, list(zip(*truths, strict=True)) if len(truths) > 1 else truths[0]


def _joined(parts: Sequence[Any]) -> Any:
    """Of all batches: arrays of one shape as one, what is a list of pictures as a list."""
    if all(isinstance(part, np.ndarray) and part.ndim < 3 for part in parts):
        return np.concatenate(parts)
    return [one for part in parts for one in part]


def _truths(rows: Sequence[Any], target: str) -> Any:
    """What is true of all pictures, as the task's `score` takes it."""
    if target not in _KEYS:
        return rows
    table = _table([row[:2] for row in rows])
    return table if target == "boxes" else Truths(table, [row[2] for row in rows])


def _table(truths: Sequence[tuple[np.ndarray, np.ndarray]]) -> Boxes:
    """Padded boxes (N, 4) and classes (N,) of pictures as a table."""
    there = [classes >= 0 for _, classes in truths]
    starts = np.cumsum([0, *(int(mask.sum()) for mask in there)])
    boxes, classes = (
        np.concatenate([part[mask] for part, mask in zip(column, there, strict=True)])
        for column in zip(*truths, strict=True)
    )
    marks = np.zeros(len(classes), bool)
    return Boxes(starts, boxes, classes, marks, marks)
