"""Which Keras model of a run a file was made from: the trained one, or what compression left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfmap import evaluate
from tfmap.litert import LiteModel

if TYPE_CHECKING:
    import keras

    from tfmap.runs import Run

NAMES = ("model.keras", "compressed.keras")


def find(run: Run, lite: LiteModel, pictures: np.ndarray) -> tuple[str, keras.Model]:
    """The run's Keras model whose answers are closest to the file's, and its name.

    Export may take either, whatever the config says now; the answers tell.

    Args:
        run: the run folder.
        lite: the file.
        pictures: uint8 (N, H, W, C), of the size that the file takes.
    """
    answers = lite.predict(pictures)
    models = {name: evaluate.opened(run.file(name)) for name in NAMES if run.has(name)}
    apart = {name: _apart(model, pictures, answers) for name, model in models.items()}
    name = min(apart, key=apart.__getitem__)
    return name, models[name]


def _apart(model: keras.Model, pictures: np.ndarray, answers: np.ndarray) -> float:
    """Mean difference of the scores; infinite where the model is of another shape."""
    if tuple(model.input_shape[1:]) != pictures.shape[1:] or model.output_shape[-1] != answers.shape[-1]:
        return float("inf")
    return float(np.abs(model.predict_on_batch(pictures) - answers).mean())
