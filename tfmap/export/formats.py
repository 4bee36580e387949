"""Further formats of the same model: what a server, another runtime or another Keras program loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras

from tfmap.errors import InputError, did_you_mean
from tfmap.export import convert, onnx, savedmodel
from tfmap.runs import Run, replacing

FILES = {"savedmodel": "saved_model", "onnx": "model.onnx", "keras": "inference.keras"}


def write(name: str, model: keras.Model, run: Run, *, classes: Sequence[str], task: str = "classification") -> Path:
    """Write a model into a run folder in one more format.

    Args:
        name: "savedmodel" (saved_model/: encoded pictures -> scores and labels), "onnx" (model.onnx: pixels -> scores)
            or "keras" (inference.keras: float32, not compiled, so that it loads without tfmap).
        model: pictures (B, H, W, C), values 0..255 -> scores (B, K).
        run: the run folder.
        classes: K class names.
        task: which task prepares encoded pictures.

    Returns:
        the file or folder.

    Raises:
        InputError: an unknown format, or as `savedmodel.write` and `onnx.write`.
    """
    if name not in FILES:
        hint = did_you_mean(name, FILES)
        raise InputError(f"export.also: unknown format {name!r}. Formats: {', '.join(FILES)}.{hint}")
    path = run.file(FILES[name])
    if name == "savedmodel":
        savedmodel.write(path, model, classes=classes, task=task)
    elif name == "onnx":
        onnx.write(path, model)
    else:
        write_keras(path, model)
    return path


def write_keras(path: str | Path, model: keras.Model) -> None:
    """Write a .keras file for inference: float32 throughout, without optimizer and losses."""
    plain = type(model).from_config(convert.single_precision(model).get_config())  # a clone would be compiled too
    plain.set_weights(model.get_weights())
    with replacing(path) as temporary:
        plain.save(temporary)
