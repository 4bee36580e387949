"""Which of a run's models becomes the file, and which pictures it is tried on."""

from __future__ import annotations

from pathlib import Path

import keras

from tfmap import tasks
from tfmap.runs import Run
from tfmap.source import Source, Split

_FILES = {"quantized": "quantized.tflite", "compressed": "compressed.keras", "model": "model.keras"}


def path(run: Run, which: str = "auto", format: str = "int8") -> Path:
    """The file to export.

    Args:
        run: the run folder.
        which: auto takes what compress made last, else the model; or a key of its files.
        format: of the .tflite file; a quantised file is a candidate where int8 is wanted, being nothing else.

    Raises:
        FileNotFoundError: it is not there.
    """
    if which != "auto":
        return run.need(_FILES[which])
    candidates = list(_FILES.values())[0 if format == "int8" else 1 :]
    return next((run.file(name) for name in candidates if run.has(name)), None) or run.need("model.keras")


def opened(path: Path) -> keras.Model | bytes:
    """The model in a file; of a .tflite file its bytes."""
    return path.read_bytes() if path.suffix == ".tflite" else tasks.load(path)


def keras_model(run: Run, file: Path) -> keras.Model:
    """The Keras model that a file came from; a quantised file came from what compress left, or the trained one."""
    return opened(file if file.suffix == ".keras" else path(run, format="float32"))


def held_out(source: Source) -> Split:
    """Pictures that training has not seen, where there are any."""
    return next(source.splits[name] for name in ("test", "val", "train") if len(source.splits.get(name, ())))
