"""What a run folder says: its files as plain values, and nothing that is not in them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmap.errors import InputError
from tfmap.runs import FILES, Run

SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test"}


def read(run: Run, name: str) -> Any:
    """A JSON file of the run, or None where its stage has not run.

    Raises:
        InputError: it is there but broken.
    """
    if not run.has(name):
        return None
    try:
        return run.read_json(name)
    except ValueError as error:
        raise InputError(
            f"{run.file(name)} is not valid JSON ({error}). Write it again: python -m tfmap.{FILES[name]} {run.path}"
        ) from None


def history(run: Run) -> list[dict[str, Any]]:
    """history.csv: a dict per epoch; numbers as float, None where a cell is empty, "phase" as text."""
    rows = run.read_rows("history.csv") if run.has("history.csv") else []
    return [{key: value if key == "phase" else _number(value) for key, value in row.items() if key} for row in rows]


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def predictions(run: Run) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """predictions.npz, where it has them: split -> (probabilities (N, K), truths int32 (N,) or float32 (N, K))."""
    if not run.has("predictions.npz"):
        return {}
    with np.load(run.file("predictions.npz"), allow_pickle=False) as arrays:
        names = [key.removesuffix("_truths") for key in arrays if key.endswith("_truths")]
        return {name: (arrays[f"{name}_probabilities"], arrays[f"{name}_truths"]) for name in names}


def files(run: Run) -> list[dict[str, Any]]:
    """The run's files: "name", "bytes" and the start of the SHA-256 by which a copy is told."""
    paths = [run.file(name) for name in FILES if name != "report.html" and run.file(name).is_file()]
    return [{"name": path.name, "bytes": path.stat().st_size, "sha256": _digest(path)[:16]} for path in paths]


def _digest(path: Any) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model(run: Run, task: str) -> dict[str, Any]:
    """What model.keras is: "input" (H, W, C), "outputs" (its classes), "parameters" and "layers".

    Args:
        run: the run folder.
        task: its name.

    Raises:
        FileNotFoundError: the run has no model.keras; the text names the stage.
    """
    from tfmap import tasks
    from tfmap.inference import opened

    network = opened(run.need("model.keras"))
    return {
        "input": tuple(network.input_shape[1:]),
        "outputs": tasks.class_count(tasks.get(task), network),
        "parameters": int(network.count_params()),
        "layers": len(network.layers),
    }


def confusions(matrix: Sequence[Sequence[int]], classes: Sequence[str], most: int = 8) -> list[dict[str, Any]]:
    """The pairs of classes that are taken for each other most often.

    Args:
        matrix: K x K counts, rows truths.
        classes: K names.
        most: how many at most.

    Returns:
        list: dicts of "truth", "predicted", "count" and "share" of the true class, most frequent first.
    """
    counts = np.array(matrix)
    totals = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    return [
        {
            "truth": classes[i],
            "predicted": classes[j],
            "count": int(counts[i, j]),
            "share": float(counts[i, j] / totals[i]),
        }
        for i, j in zip(*np.unravel_index(order, counts.shape), strict=True)
        if counts[i, j]
    ]


def balance(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pictures per class: dicts of "class", "counts" (one per split) and "share" of the largest class, for its bar."""
    splits = data["splits"]
    totals = {name: sum(split.get(name, 0) for split in splits.values()) for name in data["classes"]}
    most = max(totals.values(), default=0) or 1
    return [
        {"class": name, "counts": [split.get(name, 0) for split in splits.values()], "share": totals[name] / most}
        for name in data["classes"]
    ]


def text(run: Run, name: str) -> str | None:
    """A text file of the run, or None where it is not there."""
    return run.file(name).read_text(encoding="utf-8") if run.has(name) else None


def common_folder(paths: Sequence[str]) -> str:
    """The folder, with its last slash, that all paths stand below; "" where there is none."""
    shared = os.path.commonprefix([path[: path.rfind("/") + 1] for path in paths])
    return shared[: shared.rfind("/") + 1]
