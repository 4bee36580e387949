"""One training of many, as a search and a comparison run them: same seed, same result, whatever ran before."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tfmap import runtime, tasks, train
from tfmap.source import Source


def attempt(
    config: Mapping[str, Any],
    source: Source,
    folder: Path,
    *,
    seed: int,
    callbacks: list[keras.callbacks.Callback] | None = None,
) -> keras.Model:
    """Build and train a model, or finish a training that was begun in this folder.

    Args:
        config: task, and the sections pipeline, augment, model and train.
        source: the data.
        folder: run folder of this training.
        seed: of the new layers, the order and the augmentation.
        callbacks: Keras callbacks.

    Returns:
        the trained model.
    """
    keras.backend.clear_session()
    gc.collect()
    runtime.seed_everything(seed)
    with runtime.strategy().scope():
        model = tasks.build(config["task"], source, config.get("model", {}))
    return train.fit(
        model,
        source,
        out=folder,
        task=config["task"],
        seed=seed,
        augment=config.get("augment", {}).get("ops", ""),
        pipeline=config.get("pipeline", {}),
        callbacks=callbacks,
        **{**config.get("train", {}), "verbose": False},
    )


class Pulse(keras.callbacks.Callback):
    """Moves a bar a little with every epoch: a whole training is 1.

    Args:
        bar: the bars.
        line: which of them.
    """

    def __init__(self, bar: Progress, line: TaskID) -> None:
        super().__init__()
        self.bar, self.line = bar, line

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Advance by the epoch's share of the training."""
        self.bar.advance(self.line, 1 / max(self.params.get("epochs", 1), 1))


def bar() -> Progress:
    """Trainings done and the time that is left, on stderr; nothing moves where that is no terminal."""
    percent = TextColumn("{task.percentage:.0f}%")
    columns = (TextColumn("{task.description}"), BarColumn(), percent, TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True, soft_wrap=True, highlight=False), transient=True)
