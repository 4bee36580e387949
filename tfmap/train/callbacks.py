"""What watches a training: the best weights, early stopping, divergence, the history and the progress line."""

from __future__ import annotations

import csv
import math
import time
from typing import Any

import keras
import numpy as np
from rich.console import Console

from tfmap.errors import InputError
from tfmap.runs import Run, replacing
from tfmap.train.checkpoint import State

HISTORY = ("epoch", "phase", "seconds", "learning_rate")


class Best(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the highest monitored metric, and stops when it has not risen for a while.

    Stands before the moving average in the list of callbacks: when validation ends, the average is still in the model.

    Args:
        net: the model whose weights are kept.
        monitor: name of a metric, higher is better.
        state: the position, where the best value is kept.
        patience: epochs without a rise before training stops; None never stops.
        weights: the best weights so far, after a resume.
        run: where the best weights are written too.
    """

    def __init__(
        self, net: keras.Model, monitor: str, state: State, *, patience: int | None, run: Run | None = None
    ) -> None:
        super().__init__()
        self.net, self.monitor, self.state, self.patience, self.run = net, monitor, state, patience, run
        self.weights: list[np.ndarray] = list(state.arrays.get("best", []))
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Remember which epoch it is."""
        self._epoch = epoch

    def on_test_end(self, logs: dict | None = None) -> None:
        """Keep the weights if they are the best so far."""
        value = float((logs or {})[self.monitor])
        if value > self.state.best:
            self.state.best, self.state.best_epoch = value, self._epoch
            self.weights = self.net.get_weights()
            if self.run is not None:
                with replacing(self.run.file("checkpoints") / "best.weights.h5") as temporary:
                    self.net.save_weights(temporary)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Stop when patience is at its end."""
        if self.patience is not None and epoch - self.state.best_epoch >= self.patience:
            self.trainer_stops()

    def trainer_stops(self) -> None:
        """Have Keras end the training after this epoch."""
        self.model.stop_training = True


class StopIfNotFinite(keras.callbacks.Callback):
    """Ends a training whose loss is no number any more, with a word on what to do."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise InputError(
                f"training diverged: the loss became {loss} at batch {batch + 1}. "
                "Lower train.learning_rate, or set train.clip_norm=1; the last checkpoint is kept."
            )


class History(keras.callbacks.Callback):
    """A row per epoch, in memory and in history.csv."""

    def __init__(self, state: State, phase: str, run: Run | None) -> None:
        super().__init__()
        self.state, self.phase, self.run = state, phase, run
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write the row."""
        seconds = round(time.monotonic() - self._start, 3)
        rate = float(self.model.optimizer.learning_rate)
        numbers = {key: round(float(value), 6) for key, value in (logs or {}).items()}
        self.state.history.append(
            {"epoch": epoch + 1, "phase": self.phase, "seconds": seconds, "learning_rate": rate, **numbers}
        )
        if self.run is not None:
            write_history(self.run, self.state.history)


def write_history(run: Run, history: list[dict[str, Any]]) -> None:
    """Write history.csv whole."""
    columns = list(dict.fromkeys([*HISTORY, *(key for row in history for key in row)]))
    with replacing(run.file("history.csv")) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history)


class Progress(keras.callbacks.Callback):
    """One line an epoch with the time that is left; on a terminal a line that moves inside the epoch as well.

    Args:
        state: the position.
        phase: the phase's name.
        total: epochs of the whole run.
        steps: batches an epoch.
    """

    def __init__(self, state: State, phase: str, *, total: int, steps: int, console: Console | None = None) -> None:
        super().__init__()
        self.state, self.phase, self.total, self.steps = state, phase, total, steps
        self.console = console or Console(highlight=False, soft_wrap=True, stderr=True)
        self._start = self._shown = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Move the line, four times a second at most."""
        now = time.monotonic()
        if self.console.is_terminal and now - self._shown > 0.25:
            self._shown = now
            passed = now - self._start
            left = passed / (batch + 1) * (self.steps - batch - 1)
            self.console.print(
                f"  {self.phase} epoch {self.state.epoch + 1}/{self.total}  batch {batch + 1}/{self.steps}  "
                f"loss {(logs or {}).get('loss', float('nan')):.3f}  {left:.0f} s left in epoch   ",
                end="\r",
            )

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Print the epoch's line."""
        seconds = time.monotonic() - self._start
        numbers = "  ".join(f"{key} {value:.4f}" for key, value in (logs or {}).items())
        left = duration(seconds * (self.total - epoch - 1))
        self.console.print(f"  {self.phase} {epoch + 1:>3}/{self.total}  {numbers}  {seconds:.1f} s, {left} left")


def duration(seconds: float) -> str:
    """12 s, 3 min 5 s, 2 h 10 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
