"""Which Keras model of a run a file was made from: the trained one, or what compression left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfmap import evaluate, tasks
from tfmap.litert import LiteModel

if TYPE_CHECKING:
    import keras

    from tfmap.runs import Run

NAMES = ("model.keras", "compressed.keras")


def find(run: Run, lite: LiteModel, pictures: np.ndarray, task: str) -> tuple[str, keras.Model]:
    """The run's Keras model whose answers are closest to the file's, and its name.

    Export may take either, whatever the config says now; the answers tell.

    Args:
        run: the run folder.
        lite: the file.
        pictures: uint8 (N, H, W, C), of the size that the file takes.
        task: its name.
    """
    size = pictures.shape[1:3]
    answers = _decoded(task, lite.predict(pictures), size)
    models = {name: evaluate.opened(run.file(name)) for name in NAMES if run.has(name)}
    apart = {name: _apart(model, pictures, answers, task) for name, model in models.items()}
    name = min(apart, key=apart.__getitem__)
    return name, models[name]


def _decoded(task: str, outputs: Any, size: tuple[int, int]) -> Any:
    module = tasks.get(task)
    return module.decode(outputs, **tasks.accepted(module.decode, size=size))


def _apart(model: keras.Model, pictures: np.ndarray, answers: Any, task: str) -> float:
    """Mean difference of the scores, or share that is not decided alike; infinite where the model has another shape."""
    if tuple(model.input_shape[1:]) != pictures.shape[1:]:
        return float("inf")
    said = _decoded(task, model.predict_on_batch(pictures), pictures.shape[1:3])
    if not isinstance(answers, np.ndarray):
        return 1 - float(tasks.get(task).alike(said, answers).mean())
    return float(np.abs(said - answers).mean()) if said.shape == answers.shape else float("inf")
