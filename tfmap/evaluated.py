"""What evaluation leaves in a run folder and on the screen: numbers, answers, curves and the worst pictures, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from tfmap import sheets, tasks
from tfmap.average_precision import Found
from tfmap.instances import Truths
from tfmap.pipeline.files import Files
from tfmap.runs import Run, replacing
from tfmap.source import Source, Split

FOUND = ("boxes", "scores", "classes")  # of boxes in predictions.npz
WORST, SIDE, ABREAST = 12, 320, 4  # pictures on a sheet, pixels of each, and how many stand in a row


def write(run: Run, found: Mapping[str, dict], source: Source, task: str) -> None:
    """Leave predictions.npz, curves.json, mistakes.json, metrics.json and the sheets of the worst pictures in a run.

    Args:
        run: the run folder.
        found: split -> what `evaluate` returned.
        source: the data.
        task: its name.
    """
    classes = source.classes
    arrays = {"classes": np.asarray(classes, dtype=str)}
    for name, result in found.items():
        arrays[f"{name}_ids"] = np.asarray(result["ids"], dtype=str)
        arrays |= {f"{name}_{key}": array for key, array in _arrays(result).items()}
    with replacing(run.file("predictions.npz")) as path:
        np.savez_compressed(path, **arrays)
    run.write_json("curves.json", {name: result["curves"] for name, result in found.items()})
    run.write_json("mistakes.json", {name: result["mistakes"] for name, result in found.items()})
    splits = {name: result["metrics"] for name, result in found.items()}
    run.write_json("metrics.json", {"model": "model.keras", "classes": list(classes), "splits": splits})
    _draw(run, found, source, task)


def _arrays(result: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The answers as arrays; masks are too large to keep, `predict` makes them again; boxes are without theirs."""
    answers = result["answers"]
    if isinstance(answers, np.ndarray):
        return {"probabilities": answers, "truths": result["truths"]}
    if not hasattr(answers[0], "boxes"):
        return {}
    starts = np.cumsum([0, *(len(one.scores) for one in answers)])
    return {"starts": starts, **{key: np.concatenate([getattr(one, key) for one in answers]) for key in FOUND}}


def _draw(run: Run, found: Mapping[str, dict], source: Source, task: str) -> None:
    """A sheet of the worst pictures of each split: what is there, and what was found."""
    for name, result in found.items():
        if result["mistakes"]:
            with replacing(run.file(f"worst_{name}.png")) as path:
                worst_sheet(source.splits[name], result, classes=source.classes, task=task).save(path)


def worst_sheet(split: Split, result: Mapping[str, Any], *, classes: Sequence[str], task: str) -> Image.Image:
    """The pictures that a model is furthest off with, as a contact sheet.

    Args:
        split: that was evaluated.
        result: what `evaluate` returned.
        classes: K names.
        task: its name.

    Returns:
        of each picture what is there and what the model says, two pictures a row.
    """
    drawn, files = tasks.get(task).drawn, Files(split, 3, None)
    places, shown = {str(name): i for i, name in enumerate(split.ids)}, []
    for mistake in result["mistakes"][:WORST]:
        i = places[mistake["id"]]
        image = files.open(i, False)[0]
        there, said = _as_answer(result["truths"], i, len(classes)), result["answers"][i]
        pair = [drawn(image, answer, classes=classes) for answer in (there, said)]
        words = zip(("there", "said"), pair, strict=True)
        shown += [replace(one, text=f"{word}: {one.text}") for word, one in words]
    rows = [shown[start : start + ABREAST] for start in range(0, len(shown), ABREAST)]
    return sheets.sheet(rows, title=f"The worst of {len(split)} pictures", classes=classes, side=SIDE)


def _as_answer(truths: Any, picture: int, classes: int) -> Any:
    """What is true of a picture, as the model would say it."""
    if isinstance(truths, list):
        return truths[picture]
    if isinstance(truths, Truths):
        return truths.of(picture)
    if not isinstance(truths, np.ndarray):
        rows = truths.rows(picture)
        return Found(truths.boxes[rows], np.ones(rows.stop - rows.start, np.float32), truths.classes[rows])
    return truths[picture] if truths.ndim == 2 else np.eye(classes, dtype=np.float32)[truths[picture]]


def show(found: Mapping[str, dict]) -> None:
    """Print the numbers, one column per split.

    Args:
        found: split -> what `evaluate` returned.
    """
    table = Table("metric", *found)
    metrics = [result["metrics"] for result in found.values()]
    for key, value in metrics[0].items():
        if isinstance(value, (int, float)):
            table.add_row(key, *("-" if row[key] is None else f"{row[key]:.4g}" for row in metrics))
    Console().print(table)
