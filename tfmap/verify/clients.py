"""The file in the library that apps use: MediaPipe Tasks must name our labels and give our scores."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmap.errors import InputError
from tfmap.litert import LiteModel
from tfmap.verify.answers import gaps

BOUND = 1e-4  # of a score: the same runtime, perhaps of another version


def check(data: bytes, pictures: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Run pictures through MediaPipe Tasks' ImageClassifier, as an app would.

    Args:
        data: the file, labels and metadata inside.
        pictures: uint8 (N, H, W, 3), of the model's own size, so that the file and its metadata are all that is tested.
        classes: the K class names.

    Returns:
        dict: "client" (name and version); "pictures"; "difference" (of any score; None where it gave none of ours);
            "bound"; "findings" (lines: refused by MediaPipe, other labels, other scores).

    Raises:
        InputError: mediapipe is not installed, or the model takes no pictures in colour.
    """
    mediapipe = installed()
    if pictures.shape[-1] != 3:
        raise InputError(
            f"verify.clients: MediaPipe Tasks takes pictures in colour, the model {pictures.shape[-1]} channel(s). "
            "Set verify.clients=false."
        )
    found = {"client": f"MediaPipe Tasks {mediapipe.__version__}", "pictures": len(pictures), "bound": BOUND}
    try:
        rows = classified(data, pictures)
    except (RuntimeError, ValueError, OSError) as error:  # OSError: it finds no metadata
        reason = " ".join(str(error).split())
        return {**found, "difference": None, "findings": [f"MediaPipe Tasks refuses the file: {reason}"]}
    return {**found, **_compared(rows, LiteModel(data).predict(pictures), classes)}


def installed() -> Any:
    """The package mediapipe.

    Raises:
        InputError: it is not installed.
    """
    try:
        return _mediapipe()
    except ImportError as error:
        raise InputError(
            "verify.clients=true runs the file in MediaPipe Tasks, and the package mediapipe is not installed here "
            f"({error}). Install it: pip install mediapipe==1.2.2 (pip warns that tensorflow-model-optimization "
            "asks for an older absl-py; it runs with the newer one). Or set verify.clients=false."
        ) from error


def _mediapipe() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations among its own parts
        import mediapipe
        import mediapipe.tasks.python.vision

    return mediapipe


def classified(data: bytes, pictures: np.ndarray) -> list[dict[str, float]]:
    """For each picture, label -> score, as an app gets them.

    Raises:
        ImportError: mediapipe is not installed.
        RuntimeError, ValueError or OSError: MediaPipe refuses the file.
    """
    mediapipe = _mediapipe()
    tasks = mediapipe.tasks
    # A threshold of 0 overrides those in the metadata: every score is wanted.
    base = tasks.BaseOptions(model_asset_buffer=data)
    options = tasks.vision.ImageClassifierOptions(base_options=base, score_threshold=0.0)
    with tasks.vision.ImageClassifier.create_from_options(options) as classifier:
        images = [mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture) for picture in pictures]
        found = [classifier.classify(image).classifications[0].categories for image in images]
    return [{category.category_name or "": float(category.score) for category in row} for row in found]


def _compared(rows: Sequence[dict[str, float]], ours: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    strange = sorted({label for row in rows for label in row} - set(classes))
    if strange:
        text = f"MediaPipe Tasks names {', '.join(map(repr, strange[:3]))}, which are none of the classes."
        return {"difference": None, "findings": [text]}
    missing = sorted(set(classes) - {label for row in rows for label in row})
    if missing:
        text = f"MediaPipe Tasks never names {', '.join(map(repr, missing[:3]))}."
        return {"difference": None, "findings": [text]}
    theirs = np.array([[row.get(label, 0.0) for label in classes] for row in rows])
    gap = float(gaps(theirs, ours).max())
    text = f"MediaPipe Tasks gives other scores: they differ by up to {gap:.4f}; the bound is {BOUND:g}."
    return {"difference": gap, "findings": [text] if gap > BOUND else []}
