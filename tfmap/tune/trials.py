"""keras-tuner asks, `train.fit` answers: one training per trial."""

from __future__ import annotations

import csv
import math
import shutil
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_tuner

from tfmap import signatures
from tfmap.errors import InputError
from tfmap.source import Source
from tfmap.train import attempt as attempts
from tfmap.train.callbacks import duration
from tfmap.train.checkpoint import State
from tfmap.tune.results import Results, short
from tfmap.tune.space import Dimension, apply

ORACLES = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    "hyperband": keras_tuner.oracles.HyperbandOracle,
    "grid": keras_tuner.oracles.GridSearchOracle,
}


class _StopError(keras_tuner.errors.FatalError, InputError):
    """Bad input that no other trial would cure."""


def run_all(
    source: Source, base: Mapping[str, Any], dimensions: list[Dimension], results: Results, *, max_trials: int
) -> None:
    """Run the trials that are not done yet.

    The oracle is asked anew from the first trial on, and told what earlier starts have found: with one seed it gives
    the same trials again. keras-tuner's own saved state is not used, because it is not enough: with keras-tuner 1.4.8
    a reloaded grid search has lost its place (KeyError), a Bayesian one starts its random numbers over, and a process
    that is killed while it writes leaves half a file.
    """
    keras_tuner.src.config.DEBUG = False  # or it prints the traceback of every failed trial, whose reason we keep
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        # keras-tuner's own old calls, and a Gaussian process that has seen few points: nothing that a user could change
        for words in (r"(currentThread|getName)\(\) is deprecated", "The optimal value found for dimension"):
            warnings.filterwarnings("ignore", words)
        tuner = _Tuner(source, base, dimensions, results, max_trials=max_trials, directory=scratch)
        with tuner.bar:
            tuner.search()


def _oracle(results: Results, dimensions: list[Dimension], *, max_trials: int, epochs: int) -> keras_tuner.Oracle:
    space = keras_tuner.HyperParameters()
    for dimension in dimensions:
        dimension.declare(space)
    algorithm = results.recipe["algorithm"]
    options: dict[str, int] = {"max_epochs": epochs} if algorithm == "hyperband" else {"max_trials": max_trials}
    if algorithm == "bayesian":
        # By default 3 random trials for each dimension come first: with 6 dimensions 18 of 20 trials would be random.
        options["num_initial_points"] = max(2, min(3 * len(dimensions), max_trials // 3))
    oracle = ORACLES[algorithm](
        objective=keras_tuner.Objective(results.objective, results.direction),
        hyperparameters=space,
        seed=results.recipe["seed"] + 1,  # it takes 0 for "draw one"
        max_consecutive_failed_trials=10**9,
        **options,
    )
    oracle.max_trials = max_trials
    oracle.verbose = 0
    return oracle


class _Tuner(keras_tuner.engine.base_tuner.BaseTuner):
    def __init__(
        self,
        source: Source,
        base: Mapping[str, Any],
        dimensions: list[Dimension],
        results: Results,
        *,
        max_trials: int,
        directory: str,
    ) -> None:
        self.source, self.base, self.dimensions, self.results = source, base, dimensions, results
        epochs = base.get("train", {}).get("epochs", signatures.keys("train")["epochs"].default)
        self.bar = attempts.bar()
        self.line = self.bar.add_task("", total=max_trials)
        oracle = _oracle(results, dimensions, max_trials=max_trials, epochs=epochs)
        super().__init__(oracle, directory=directory, project_name="search", overwrite=True)

    def run_trial(self, trial: Any) -> dict[str, float]:
        """Train with the values of a trial, or look up what they came to.

        Raises:
            keras_tuner.errors.FailedTrialError: this trial failed; the next may not.
        """
        number, drawn = int(trial.trial_id) + 1, dict(trial.hyperparameters.values)
        self.bar.update(self.line, description=f"trial {number}", completed=number - 1)
        found = self.results.known(number, drawn) or self._train(number, drawn)
        self.results.add(found)
        left = _left(self.results, self.oracle.max_trials - number)
        self.bar.console.print(f"  trial {number}: {_told(found, self.results)}{left}", markup=False)
        if found["score"] is None:
            raise keras_tuner.errors.FailedTrialError(found["reason"])
        return {self.results.objective: found["score"]}

    def _train(self, number: int, drawn: dict[str, Any]) -> dict[str, Any]:
        """One training in its own folder; a dict that says how it went."""
        start = time.monotonic()
        score, reason, rows = None, "", []
        try:
            rows = self._fit(self._config(drawn), self.results.folder(number))
            score = _score(rows, self.results)
            reason = "" if math.isfinite(score) else f"{self.results.objective} is {score}"
        except _StopError:
            raise
        except Exception as error:  # whatever it is, the other trials may be fine
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        # An interrupt does not come here: its checkpoint is what the next start goes on from.
        shutil.rmtree(self.results.folder(number) / "checkpoints", ignore_errors=True)
        return {
            "trial": number,
            "status": "failed" if reason else "done",
            "score": None if reason else score,
            "epochs": len(rows),
            "seconds": round(time.monotonic() - start, 1),
            "values": {d.key.name: d.value(drawn[d.key.name]) for d in self.dimensions},
            "drawn": drawn,
            "reason": reason,
        }

    def _config(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        config = apply(self.base, self.dimensions, drawn)
        epochs = {"epochs": drawn["tuner/epochs"]} if "tuner/epochs" in drawn else {}
        return {**config, "train": {**config.get("train", {}), **epochs}}

    def _fit(self, config: Mapping[str, Any], folder: Path) -> list[dict[str, str]]:
        """Train, or finish what was begun, and return the rows of history.csv."""
        state = folder / "checkpoints" / "last.npz"
        if not (state.exists() and State.load(state).finished):
            pulse = attempts.Pulse(self.bar, self.line)
            attempts.attempt(config, self.source, folder, seed=self.results.recipe["seed"], callbacks=[pulse])
        with open(folder / "history.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def _score(rows: list[dict[str, str]], results: Results) -> float:
    """The objective of the best epoch, which is the epoch whose weights `train.fit` keeps for a metric."""
    name = results.objective
    if name not in rows[-1]:
        known = [column for column in rows[-1] if column.startswith("val_")]
        raise _StopError(f"tune.objective: {name!r} is no column of history.csv. Known: {', '.join(known)}.")
    values = [float(row[name]) for row in rows if row[name]]
    return max(values) if results.direction == "max" else min(values)


def _left(results: Results, trials: int) -> str:
    """How long `trials` more will take, if they are like those that were."""
    mean = sum(trial["seconds"] for trial in results.trials) / len(results.trials)
    return f"; {duration(mean * trials)} left" if trials else ""


def _told(trial: Mapping[str, Any], results: Results) -> str:
    if trial["score"] is None:
        return f"failed: {trial['reason']}"
    values = ", ".join(f"{name.partition('.')[2]} {short(value)}" for name, value in trial["values"].items())
    best = results.best()
    return f"{results.objective} {trial['score']:.4f} (best {best['score']:.4f}), {trial['seconds']:.0f} s: {values}"
