"""What a finished file's scores are worth: temperature and thresholds, fitted on what the file itself answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmap import calibrate
from tfmap.export import representative
from tfmap.export.order import INTEGER_ENDS
from tfmap.litert import LiteModel
from tfmap.progress import bar
from tfmap.source import Split

STEP = 1 / 256  # of a score in a file of 8-bit activations, whatever the dtype of its output


def fitted(
    file: bytes, split: Split, *, classes: Sequence[str], task: str, format: str, precision: float | None
) -> dict[str, Any]:
    """Run validation pictures through a file and calibrate its scores.

    Args:
        file: a .tflite classifier.
        split: examples that training has not seen.
        classes: the K class names.
        task: which task prepares the pictures.
        format: of the file.
        precision: what thresholds have to reach; None for the best F1.

    Returns:
        dict: see `tfmap.calibrate.calibrate`.

    Raises:
        InputError: as `tfmap.calibrate.calibrate`.
    """
    model = LiteModel(file)
    scores, truths = [], []
    with bar("scores of the file", len(split)) as show:
        for batch in representative.read(split, shape=model.input_shape[1:], task=task):
            scores.append(model.predict(batch["image"]))
            truths += list(batch["label"])
            show(len(truths))
    return calibrate.calibrate(
        np.concatenate(scores),
        np.array(truths),
        classes=classes,
        precision=precision,
        step=STEP if format in INTEGER_ENDS else 0.0,
    )
