"""The trials of a search: a file each, and the table of all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tfmap.errors import InputError
from tfmap.runs import Run, replacing
from tfmap.signatures import as_yaml


class Results:
    """What the trials of a search came to, kept on disk.

    Args:
        run: the run folder.
        recipe: the settings of the search; a folder that holds another search is refused.

    Raises:
        InputError: the folder holds another search.
    """

    def __init__(self, run: Run, recipe: Mapping[str, Any]) -> None:
        self.run = run
        self.recipe = json.loads(json.dumps(recipe))
        self.trials: list[dict[str, Any]] = []
        if run.has("tune.json"):
            self._check_same(run.read_json("tune.json")["recipe"])
        self._write()

    def _check_same(self, known: Mapping[str, Any]) -> None:
        changed = sorted(key for key in {*known, *self.recipe} if known.get(key) != self.recipe.get(key))
        if changed:
            raise InputError(
                f"{self.run.path} holds a search with other settings: {', '.join(changed)}. "
                "Choose another out=, or delete that folder."
            )

    @property
    def objective(self) -> str:
        """Name of the number that is searched for."""
        return self.recipe["objective"]

    @property
    def direction(self) -> str:
        """Whether it should be large ("max") or small ("min")."""
        return "min" if "loss" in self.objective else "max"

    def folder(self, number: int) -> Path:
        """The run folder of a trial."""
        return self.run.file("trials") / f"{number:04d}"

    def known(self, number: int, drawn: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result of this trial from an earlier start of the search; a folder of other values is removed."""
        path = self.folder(number) / "trial.json"
        started = self.folder(number) / "drawn.json"
        if started.exists() and json.loads(started.read_text(encoding="utf-8")) != dict(drawn):
            shutil.rmtree(self.folder(number))
        with replacing(started) as temporary:
            temporary.write_text(json.dumps(dict(drawn)), encoding="utf-8")
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def add(self, trial: dict[str, Any]) -> None:
        """Keep a result, and write the table anew."""
        with replacing(self.folder(trial["trial"]) / "trial.json") as temporary:
            temporary.write_text(json.dumps(trial, indent=2), encoding="utf-8")
        self.trials.append(trial)
        self._write()

    def sorted(self) -> list[dict[str, Any]]:
        """Best first, failed last."""
        sign = -1 if self.direction == "max" else 1
        return sorted(self.trials, key=lambda t: (t["score"] is None, sign * (t["score"] or 0), t["trial"]))

    def best(self) -> dict[str, Any]:
        """The best trial.

        Raises:
            InputError: every trial failed.
        """
        first = self.sorted()[0]
        if first["score"] is None:
            raise InputError(f"tune: every one of {len(self.trials)} trials failed. The first: {first['reason']}")
        return first

    def _write(self) -> None:
        trials = self.sorted()
        self.run.write_json("tune.json", {"recipe": self.recipe, "direction": self.direction, "trials": trials})
        keys = list(self.recipe["space"])
        header = ["trial", "status", self.objective, "epochs", "seconds", *keys, "reason"]
        self.run.write_rows("trials.csv", header, [_row(trial, keys) for trial in trials])


def _row(trial: Mapping[str, Any], keys: list[str]) -> list[Any]:
    values = [trial["values"].get(key) for key in keys]
    score = "" if trial["score"] is None else trial["score"]
    return [trial["trial"], trial["status"], score, trial["epochs"], trial["seconds"], *values, trial["reason"]]


def show(trials: list[dict[str, Any]], run: Run, most: int = 10) -> None:
    """Print the best trials and where the rest is."""
    keys = list(trials[0]["values"])
    table = Table(title=f"the best of {len(trials)} trials")
    for column in ("trial", "score", "seconds", *keys):
        table.add_column(column, overflow="fold")
    for trial in [t for t in trials if t["score"] is not None][:most]:
        values = [short(trial["values"][key]) for key in keys]
        table.add_row(str(trial["trial"]), f"{trial['score']:.4f}", f"{trial['seconds']:.0f}", *values)
    # a path is one word: wrapped, it cannot be copied
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"All trials: {run.file('trials.csv')}")
    console.print(f"Train the best: python -m tfmap.train {run.file('best.yaml')}")


def short(value: Any) -> str:
    """A value for a table: as in a config, with three digits of a float."""
    return f"{value:.3g}" if isinstance(value, float) else as_yaml(value)
