"""What the trainings of a comparison came to: rows, means, spreads and paired differences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from tfmap.errors import InputError
from tfmap.runs import Run, replacing
from tfmap.signatures import as_yaml

# name -> head of its column in the table
NUMBERS = {
    "accuracy": "accuracy",
    "recall_macro": "recall",
    "f1_macro": "F1",
    "gap": "gap",
    "seconds_per_epoch": "s/epoch",
}


class Results:
    """The trainings of a comparison, kept on disk.

    Args:
        run: the run folder.
        recipe: what all trainings share; a folder that holds another comparison is refused.

    Raises:
        InputError: the folder holds another comparison.
    """

    def __init__(self, run: Run, recipe: Mapping[str, Any]) -> None:
        self.run, self.recipe = run, json.loads(json.dumps(recipe))
        self.rows: list[dict[str, Any]] = []
        if run.has("compare.json"):
            known = run.read_json("compare.json")["recipe"]
            changed = sorted(name for name in {*known, *self.recipe} if known.get(name) != self.recipe.get(name))
            if changed:
                raise InputError(
                    f"{run.path} holds a comparison with other settings: {', '.join(changed)}. Choose another out=, or "
                    "delete that folder."
                )
        run.write_json("compare.json", {"recipe": self.recipe, "rows": [], "summary": []})

    def known(self, folder: str) -> dict[str, Any] | None:
        """The result of a training from an earlier start."""
        path = self.run.file("compare") / folder / "result.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def keep(self, row: dict[str, Any]) -> None:
        """Keep the result of a training."""
        with replacing(self.run.file("compare") / row["folder"] / "result.json") as temporary:
            temporary.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")

    def add(self, row: dict[str, Any]) -> None:
        """Count a training in, and write the tables anew."""
        self.rows.append(row)
        self.run.write_rows("compare.csv", list(row), [_cells(one) for one in self.rows])
        self.run.write_json("compare.json", {"recipe": self.recipe, "rows": self.rows, "summary": summary(self.rows)})


def _cells(row: Mapping[str, Any]) -> list[Any]:
    return [value if isinstance(value, (str, int, float)) else as_yaml(value) for value in row.values()]


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A dict per value, in the order of `rows`.

    Returns:
        list: "value", "trainings", and for each of NUMBERS "mean" and "spread" (standard deviation over the seeds, of
            n - 1; None for one) and, over the seeds that both have, "difference" to the first value and its spread.
    """
    values = list(dict.fromkeys(json.dumps(row["value"]) for row in rows))
    by_value = {text: {row["seed"]: row for row in rows if json.dumps(row["value"]) == text} for text in values}
    first = by_value[values[0]]
    found = []
    for text, own in by_value.items():
        shared = [seed for seed in own if seed in first]
        about: dict[str, Any] = {"value": json.loads(text), "trainings": len(own)}
        for name in NUMBERS:
            mean, spread = _moments([row[name] for row in own.values()])
            difference, its_spread = _moments([own[seed][name] - first[seed][name] for seed in shared])
            about[name] = {
                "mean": mean, "spread": spread, "difference": difference, "difference_spread": its_spread
            }  # fmt: skip
        found.append(about)
    return found


def _moments(numbers: Sequence[float]) -> tuple[float | None, float | None]:
    mean = float(np.mean(numbers)) if numbers else None
    return mean, float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None


def show(key: str, found: Sequence[Mapping[str, Any]], run: Run) -> None:
    """Print the table: mean +- spread over the seeds, and the difference in accuracy to the first value."""
    # a path or a policy is one word: wrapped, it cannot be read or copied
    console = Console(soft_wrap=True, highlight=False)
    for number, about in enumerate(found, start=1):
        console.print(f"{number:3}  {key} = {as_yaml(about['value'])}", markup=False)
    seeds = found[0]["trainings"]
    title = f"{key}, {seeds} seed{'s' * (seeds > 1)} each: mean±standard deviation, in percent"
    table = Table(title=title, box=box.SIMPLE)
    for head in ("", *NUMBERS.values(), "against 1"):
        table.add_column(head, justify="right", no_wrap=True)
    for number, about in enumerate(found, start=1):
        cells = [_cell(about[name]["mean"], about[name]["spread"], name) for name in NUMBERS]
        paired = about["accuracy"]
        against = "" if number == 1 else _cell(paired["difference"], paired["difference_spread"], "accuracy", sign="+")
        table.add_row(str(number), *cells, against)
    console.print(table)
    console.print("gap: accuracy on the training pictures minus that on the validation pictures.")
    console.print("against 1: accuracy minus that of value 1 with the same seed.")
    for name in ("compare.csv", "compare.png"):
        console.print(str(run.file(name)), markup=False)


def _cell(mean: float | None, spread: float | None, name: str, sign: str = "") -> str:
    if mean is None:
        return ""
    scale = 1 if name == "seconds_per_epoch" else 100
    tail = "" if spread is None else f"±{spread * scale:.1f}"
    return f"{mean * scale:{sign}.1f}{tail}"
