"""Further formats of the same model: what a server, another runtime or another Keras program loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from tfmap import tasks
from tfmap.errors import InputError, did_you_mean
from tfmap.export import convert, onnx, savedmodel
from tfmap.runs import Run, replacing

FILES = {"savedmodel": "saved_model", "onnx": "model.onnx", "keras": "inference.keras"}
TOLERANCE = 1e-3  # of scores in 0..1; the same kernels run, so that more than this is another computation


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
        the file or folder; `compare` says whether it answers as the model does.

    Raises:
        InputError: as `check`, `savedmodel.write` and `onnx.write`.
    """
    check((name,))
    path = run.file(FILES[name])
    if name == "savedmodel":
        savedmodel.write(path, model, classes=classes, task=task)
    elif name == "onnx":
        onnx.write(path, model)
    else:
        write_keras(path, model)
    return path


def check(names: Sequence[str]) -> None:
    """See that formats can be written here, before minutes of work.

    Args:
        names: of formats, as `write` takes them.

    Raises:
        InputError: an unknown format, or one whose extra is not installed.
    """
    for name in names:
        if name not in FILES:
            hint = did_you_mean(name, FILES)
            raise InputError(f"export.also: unknown format {name!r}. Formats: {', '.join(FILES)}.{hint}")
        if name == "onnx":
            onnx.installed()


def compare(name: str, path: str | Path, model: keras.Model, pictures: np.ndarray) -> None:
    """See that a format which `write` has written answers as the model does.

    Args:
        name: as for `write`.
        path: what it returned.
        model: that it was written from.
        pictures: uint8 (N, H, W, C), N at least 1, such as the golden ones.

    Raises:
        InputError: the file cannot be read back, or a score differs by more than 0.001.
    """
    plain = convert.single_precision(model)
    wanted = np.asarray(plain(pictures.astype(np.float32), training=False))
    for way, found in _answers(name, path, pictures).items():
        apart = float(np.abs(found - wanted).max())
        if not apart <= TOLERANCE:
            raise InputError(
                f"export.also: {path} ({way}) differs from {model.name} by {apart:.2g} in a score, expected at most "
                f"{TOLERANCE}. Mend the get_config or the call of the layer that is saved wrongly, or leave {name} out "
                "of export.also."
            )


def _answers(name: str, path: str | Path, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Way to call a written format -> float32 (N, K), what it answers.

    Raises:
        InputError: it cannot be read or called.
    """
    ways = {"savedmodel": savedmodel.answers, "onnx": onnx.answers, "keras": _keras_answers}
    try:
        return ways[name](path, pictures)
    except Exception as error:  # each of the three libraries has errors of its own, zip and protobuf more
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"export.also: {path} was written but cannot be read back: {reason}. See that the disk is not full, or "
            f"leave {name} out of export.also."
        ) from error


def _keras_answers(path: str | Path, pictures: np.ndarray) -> dict[str, np.ndarray]:
    loaded = tasks.load(path)
    return {"scores": np.asarray(loaded(pictures.astype(np.float32), training=False))}


def write_keras(path: str | Path, model: keras.Model) -> None:
    """Write a .keras file for inference: float32 throughout, without optimizer and losses."""
    plain = type(model).from_config(convert.single_precision(model).get_config())  # a clone would be compiled too
    plain.set_weights(model.get_weights())
    with replacing(path) as temporary:
        plain.save(temporary)
