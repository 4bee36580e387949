"""How good a compressed Keras model is on the pictures that its epochs were chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import keras
import numpy as np

from tfmap.compress.finetune import Feed


def scores(model: keras.Model, feed: Feed, task: ModuleType, classes: Sequence[str]) -> dict[str, float]:
    """The numbers that models are compared by, "accuracy" and, where it is defined, "map"; none without validation.

    Args:
        model: images (B, H, W, C), values 0..255 -> probabilities (B, K).
        feed: its validation batches, of which rows without weight only fill the last.
        task: has `score`.
        classes: K names.
    """
    rows = [
        (np.asarray(model.predict_on_batch(batch["image"]))[real], batch["label"].numpy()[real])
        for batch in feed.val() or ()
        for real in [batch["weight"].numpy() > 0]
    ]
    if not rows:
        return {}
    probabilities, truths = (np.concatenate(part) for part in zip(*rows, strict=True))
    found = task.score(probabilities, truths, classes=classes)
    return {name: float(found[name]) for name in ("accuracy", "map") if found.get(name) is not None}
