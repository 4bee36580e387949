"""Where a training stands, on disk: stop anywhere, go on from there."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfmap.errors import InputError
from tfmap.runs import Run, replacing
from tfmap.train import settings


@dataclass
class State:
    """A position in a training.

    Attributes:
        phase: name of the phase it stands in.
        epoch: epochs finished over the whole run.
        step: batches done of the next epoch.
        finished: whether the whole training has ended.
        best: highest value of the monitored metric so far.
        best_epoch: the epoch that reached it.
        history: a row per finished epoch.
        recipe: the settings of this training; another recipe cannot go on from here.
        arrays: group ("net", "optimizer", "average", "best") -> arrays.
    """

    phase: str = ""
    epoch: int = 0
    step: int = 0
    finished: bool = False
    best: float = -float("inf")
    best_epoch: int = -1
    history: list[dict[str, Any]] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write whole or not at all."""
        meta = {key: value for key, value in asdict(self).items() if key != "arrays"}
        flat = {f"{group}/{i:05d}": value for group, values in self.arrays.items() for i, value in enumerate(values)}
        with replacing(path) as temporary:
            np.savez(temporary, meta=np.array(json.dumps(meta)), **flat)

    @classmethod
    def load(cls, path: Path) -> State:
        """Read a state that `save` has written.

        Raises:
            InputError: the file cannot be read.
        """
        try:
            with np.load(path) as file:
                state = cls(**json.loads(str(file["meta"])))
                for key in sorted(set(file.files) - {"meta"}):
                    state.arrays.setdefault(key.split("/")[0], []).append(file[key])
        except (ValueError, KeyError, OSError, EOFError) as error:
            raise InputError(
                f"checkpoint {path} cannot be read ({error}). Delete it, or set train.resume=never to start over."
            ) from error
        return state


def start(run: Run | None, recipe: Mapping[str, Any]) -> State:
    """The state to go on from: the run folder's, or a fresh one.

    Raises:
        InputError: the checkpoint comes from another recipe, or its training has ended.
    """
    fresh = State(recipe=settings.identity(recipe))
    path = None if run is None else run.file("checkpoints") / "last.npz"
    if path is None or not path.exists() or recipe["resume"] == "never":
        return fresh
    state = State.load(path)
    changed = sorted(key for key in {*fresh.recipe, *state.recipe} if fresh.recipe.get(key) != state.recipe.get(key))
    advice = "Choose another out=, or set train.resume=never to start over."
    if changed:
        raise InputError(f"{run.path} holds a training with other settings: {', '.join(changed)}. {advice}")
    if state.finished:
        raise InputError(f"{run.path} holds a finished training. {advice}")
    return state


class Checkpoint(keras.callbacks.Callback):
    """Saves the state after every epoch, every few minutes inside one, and when the process is asked to stop.

    Args:
        snapshot: () -> arrays of the state, called between two steps.
        state: the position, kept up to date here.
        path: file to write; None keeps the position without writing.
        steps: batches an epoch.
        minutes: time between two saves inside an epoch.
    """

    def __init__(
        self,
        snapshot: Callable[[], dict[str, list[np.ndarray]]],
        state: State,
        path: Path | None,
        *,
        steps: int,
        minutes: float = 5.0,
    ) -> None:
        super().__init__()
        self.snapshot, self.state, self.path, self.steps, self.minutes = snapshot, state, path, steps, minutes
        self._saved = time.monotonic()
        self._asked: int | None = None
        self._handlers: dict[int, Any] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        """From here on Ctrl-C and SIGTERM wait for the end of the step."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._ask)

    def _ask(self, number: int, frame: Any) -> None:
        if self._asked is not None:  # asked twice: do not wait any longer
            self.release()
            raise KeyboardInterrupt
        self._asked = number

    def release(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Count the step, and save if it is time."""
        self.state.step += 1
        due = time.monotonic() - self._saved > 60 * self.minutes
        if (due or self._asked is not None) and self.state.step < self.steps:
            self.save()
            self._stop_if_asked()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Count the epoch and save."""
        self.state.epoch, self.state.step = epoch + 1, 0
        self.save()
        self._stop_if_asked()

    def save(self) -> None:
        """Write the state as it is now."""
        if self.path is not None:
            self.state.arrays = self.snapshot()
            self.state.save(self.path)
        self._saved = time.monotonic()

    def _stop_if_asked(self) -> None:
        if self._asked is not None:
            raise KeyboardInterrupt
