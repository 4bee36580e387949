"""Which Keras model of a run a file was made from: the trained one, or what compression left of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmap import tasks
from tfmap.litert import LiteModel

if TYPE_CHECKING:
    import keras

NAMES = ("model.keras", "compressed.keras")


def find(models: Mapping[str, keras.Model], lite: LiteModel, pictures: Callable[[], np.ndarray], task: str) -> str:
    """The name of the Keras model whose answers are closest to the file's.

    Export may take either, whatever the config says now; the answers tell.

    Args:
        models: those of the run, by the names of their files; a single one is the answer.
        lite: the file.
        pictures: () -> uint8 (N, H, W, C), of the size that the file takes.
        task: its name.
    """
    if len(models) == 1:
        return next(iter(models))
    probes = pictures()
    answers = _decoded(task, lite.predict(probes), probes.shape[1:3])
    apart = {name: _apart(model, probes, answers, task) for name, model in models.items()}
    return min(apart, key=apart.__getitem__)


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
