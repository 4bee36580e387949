"""What a finished file's scores are worth: temperature and thresholds, fitted on what the file itself answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmap import calibrate, detections, flatbuffer, tasks
from tfmap.export import representative
from tfmap.graph import Graph
from tfmap.litert import LiteModel
from tfmap.progress import bar
from tfmap.source import Split


def found(
    file: bytes, split: Split, *, classes: Sequence[str], task: str, precision: float | None = None
) -> dict[str, Any]:
    """What validation pictures say of a file's scores: "calibration", "threshold", or nothing, as its task has it.

    Arguments as of `fitted`.
    """
    if tasks.target(tasks.get(task)) == "label":
        return {"calibration": fitted(file, split, classes=classes, task=task, precision=precision)}
    threshold = shown(file, split, classes=classes, task=task)
    return {} if threshold is None else {"threshold": threshold}


def fitted(file: bytes, split: Split, *, classes: Sequence[str], task: str, precision: float | None) -> dict[str, Any]:
    """Run validation pictures through a file and calibrate its scores.

    Args:
        file: a .tflite classifier.
        split: examples that training has not seen.
        classes: the K class names.
        task: which task prepares the pictures.
        precision: what thresholds have to reach; None for the best F1.

    Returns:
        dict: see `tfmap.calibrate.calibrate`.

    Raises:
        InputError: as `tfmap.calibrate.calibrate`.
    """
    model = LiteModel(file)
    scores, truths = [], []
    with bar("scores of the file", len(split)) as show:
        for batch in representative.read(split, shape=model.input_shape[1:], task=task):
            scores.append(model.predict(batch["image"]))
            truths += list(batch["label"])
            show(len(truths))
    return calibrate.calibrate(
        np.concatenate(scores),
        np.array(truths),
        classes=classes,
        precision=precision,
        step=step(flatbuffer.read(file)),
    )


def shown(file: bytes, split: Split, *, classes: Sequence[str], task: str) -> float | None:
    """From which score on a file's boxes are worth showing: the one with the best mean F1 on validation pictures.

    Args:
        file: a .tflite file of a task whose `describe` takes a threshold; of another there is none.
        split: examples that training has not seen.
        classes: the K class names.
        task: its name.

    Returns:
        in [0, 1]; None where no box is right.
    """
    module = tasks.get(task)
    if not tasks.accepted(module.describe, threshold=0.0):
        return None
    model, found = LiteModel(file), []
    size = model.input_shape[1:3]
    with bar("boxes of the file", len(split)) as show:
        for batch in representative.read(split, shape=model.input_shape[1:], task=task):
            found += module.decode(model.predict(batch["image"]), size=size, whole=batch["whole"])
            show(len(found))
    best, f1 = detections.best_threshold(module.curves(found, tasks.truths(split, task), classes=classes))
    return best if f1 else None


def step(graph: Graph) -> float:
    """How far apart the scores of a file are, such as 1/256; 0 where it computes them in floats.

    Floats behind a DEQUANTIZE op lie as far apart as the integers before it.
    """
    output = graph.outputs[0]
    writers = [op for op in graph.ops if op.name == "DEQUANTIZE" and any(one is output for one in op.outputs)]
    rounded = writers[0].inputs[0] if writers else output
    return rounded.scale[0] if len(rounded.scale) == 1 else 0.0
