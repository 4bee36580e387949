"""The trainings of a comparison, one after another: all values with the first seed, then with the next."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfmap import evaluate
from tfmap.compare import arms
from tfmap.compare.results import Results
from tfmap.signatures import as_yaml
from tfmap.source import Source
from tfmap.train import attempt as attempts
from tfmap.train.callbacks import duration
from tfmap.train.checkpoint import State


def run_all(
    source: Source, base: Mapping[str, Any], results: Results, *, values: Sequence[Any], seeds: Sequence[int]
) -> None:
    """Run every training that is not done yet.

    Args:
        source: the data.
        base: the config that all start from.
        results: where they go.
        values: of the key that is compared.
        seeds: a round of trainings each, so that a comparison that is stopped is still a fair one.
    """
    key, planned = results.recipe["key"], [(seed, value) for seed in seeds for value in values]
    with attempts.bar() as bar:
        line = bar.add_task("", total=len(planned))
        for number, (seed, value) in enumerate(planned, start=1):
            bar.update(line, description=f"training {number}/{len(planned)}", completed=number - 1)
            folder = arms.folder_of(value, seed)
            row = results.known(folder)
            if row is None:
                config = arms.config_of(base, key, value)
                watch = [attempts.Pulse(bar, line)]
                row = {"value": value, "seed": seed, "folder": folder}
                row |= _train(config, source, results.run.file("compare") / folder, seed=seed, callbacks=watch)
                results.keep(row)
            results.add(row)
            left = np.mean([one["seconds"] for one in results.rows]) * (len(planned) - number)
            ends = f"; {duration(left)} left" if number < len(planned) else ""
            said = f"accuracy {row['accuracy']:.4f}, {row['seconds']:.0f} s: {key.partition('.')[2]} {as_yaml(value)}"
            bar.console.print(f"  training {number}, seed {seed}: {said}{ends}", markup=False)


def _train(
    config: Mapping[str, Any],
    source: Source,
    folder: Path,
    *,
    seed: int,
    callbacks: list[keras.callbacks.Callback],
) -> dict[str, Any]:
    """One training, and what its model is worth."""
    start, state = time.monotonic(), folder / "checkpoints" / "last.npz"
    if state.exists() and State.load(state).finished:
        shutil.rmtree(folder)  # it ended, but was stopped before it was judged: that is rare, and its weights are gone
    model = attempts.attempt(config, source, folder, seed=seed, callbacks=callbacks)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    options = {"classes": source.classes, "task": config["task"]}
    options["batch_size"] = config.get("pipeline", {}).get("batch_size", 32)
    val, train = (evaluate.evaluate(model, source.split(name), **options)["metrics"] for name in ("val", "train"))
    return {
        **{name: val[name] for name in ("accuracy", "recall_macro", "f1_macro")},
        "train_accuracy": train["accuracy"],
        "gap": train["accuracy"] - val["accuracy"],
        "seconds_per_epoch": _epoch_seconds(folder),
        "seconds": round(time.monotonic() - start, 1),
    }


def _epoch_seconds(folder: Path) -> float:
    """Median over the epochs of a training, without the first, which compiles."""
    with open(folder / "history.csv", newline="", encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return float(np.median(seconds[1:] or seconds))
