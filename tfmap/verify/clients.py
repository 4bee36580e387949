"""The file in the library that apps use: MediaPipe Tasks must answer as the runtime here does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tfmap import tasks
from tfmap.average_precision import Found
from tfmap.boxes import iou
from tfmap.errors import InputError
from tfmap.litert import LiteModel
from tfmap.verify import mediapipe_tasks
from tfmap.verify.answers import gaps

BOUND = 1e-4  # of a score: the same runtime, perhaps of another version
OVERLAP = 0.95  # least IoU of a box with ours of the same score
PIXELS = 0.005  # share of a picture's pixels that may be of another class


def check(data: bytes, pictures: np.ndarray, classes: Sequence[str], task: str = "classification") -> dict[str, Any]:
    """Run pictures through MediaPipe Tasks' ImageClassifier, ObjectDetector or ImageSegmenter, as an app would.

    Args:
        data: the file, labels and metadata inside.
        pictures: uint8 (N, H, W, 3), of the model's own size, so that the file and its metadata are all that is tested.
        classes: the K class names.
        task: whose file it is.

    Returns:
        dict: "client" (name and version); "pictures"; "difference" (of any score, or the largest share of pixels of
            another class, where "unit" is "pixels"; None where it gave none of ours); "bound"; of boxes "overlap"
            (least IoU with ours);
            "findings" (lines: refused by MediaPipe, other labels, other answers).

    Raises:
        InputError: mediapipe is not installed, or the model takes no pictures in colour.
    """
    version = installed().__version__
    if pictures.shape[-1] != 3:
        raise InputError(
            f"verify.clients: MediaPipe Tasks takes pictures in colour, the model {pictures.shape[-1]} channel(s). "
            "Set verify.clients=false."
        )
    ask, compare, bound = _KINDS[tasks.target(tasks.get(task))]
    found = {"client": f"MediaPipe Tasks {version}", "pictures": len(pictures), "bound": bound}
    try:
        theirs = ask(data, pictures)
    except (RuntimeError, ValueError, OSError) as error:  # OSError: it finds no metadata
        reason = " ".join(str(error).split())
        return {**found, "difference": None, "findings": [f"MediaPipe Tasks refuses the file: {reason}"]}
    return {**found, **compare(theirs, _ours(data, pictures, task), classes)}


def installed() -> Any:
    """The package mediapipe.

    Raises:
        InputError: it is not installed.
    """
    try:
        return mediapipe_tasks.load()
    except ImportError as error:
        raise InputError(
            "verify.clients=true runs the file in MediaPipe Tasks, and the package mediapipe is not installed here "
            f"({error}). Install it: pip install mediapipe==1.2.2 (pip warns that tensorflow-model-optimization "
            "asks for an older absl-py; it runs with the newer one). Or set verify.clients=false."
        ) from error


def _ours(data: bytes, pictures: np.ndarray, task: str) -> Any:
    """What the file answers in the runtime here, in pixels of its input."""
    lite, decode = LiteModel(data), tasks.get(task).decode
    return decode(lite.predict(pictures), **tasks.accepted(decode, size=lite.input_shape[1:3]))


def _strange(labels: Iterable[str], classes: Sequence[str]) -> dict[str, Any] | None:
    strange = sorted(set(labels) - set(classes))
    if not strange:
        return None
    text = f"MediaPipe Tasks names {', '.join(map(repr, strange[:3]))}, which are none of the classes."
    return {"difference": None, "findings": [text]}


def _labels(rows: Sequence[dict[str, float]], ours: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    named = {label for row in rows for label in row}
    if strange := _strange(named, classes):
        return strange
    missing = sorted(set(classes) - named)
    if missing:
        text = f"MediaPipe Tasks never names {', '.join(map(repr, missing[:3]))}."
        return {"difference": None, "findings": [text]}
    theirs = np.array([[row.get(label, 0.0) for label in classes] for row in rows])
    gap = float(gaps(theirs, ours).max())
    text = f"MediaPipe Tasks gives other scores: they differ by up to {gap:.4f}; the bound is {BOUND:g}."
    return {"difference": gap, "findings": [text] if gap > BOUND else []}


def _boxes(rows: Sequence[list], ours: Sequence[Found], classes: Sequence[str]) -> dict[str, Any]:
    if strange := _strange((label for row in rows for label, _, _ in row), classes):
        return strange
    pairs = [(mediapipe_tasks.as_found(row, list(classes)), own) for row, own in zip(rows, ours, strict=True)]
    apart = [_apart(*pair) for pair in pairs]
    gap, overlap = max((one[0] for one in apart), default=0.0), min((one[1] for one in apart), default=1.0)
    other = sum(len(theirs.scores) != len(own.scores) for theirs, own in pairs)
    lines = [f"MediaPipe Tasks finds another number of boxes in {other} of {len(pairs)} pictures."] * bool(other)
    if gap > BOUND:
        lines += [f"MediaPipe Tasks gives other scores: they differ by up to {gap:.4f}; the bound is {BOUND:g}."]
    if overlap < OVERLAP:
        lines += [f"MediaPipe Tasks places boxes elsewhere: IoU with ours down to {overlap:.3f}; least is {OVERLAP}."]
    return {"difference": gap, "overlap": overlap, "findings": lines}


def _apart(theirs: Found, ours: Found) -> tuple[float, float]:
    """How far scores of their boxes are from ours, at most, and how much boxes of one score overlap, at least."""
    if not len(theirs.scores) or not len(ours.scores):
        return 0.0, 1.0  # the numbers of boxes are compared elsewhere
    far = np.abs(theirs.scores[:, None] - ours.scores) + np.where(theirs.classes[:, None] == ours.classes, 0.0, 2.0)
    overlaps = np.where(far <= BOUND, np.asarray(iou(theirs.boxes, ours.boxes)), 0.0).max(axis=1)
    same = far.min(axis=1) <= BOUND
    return float(far.min(axis=1).clip(0, 1).max()), float(overlaps[same].min(initial=1.0))


def _masks(theirs: np.ndarray, ours: Sequence[np.ndarray], classes: Sequence[str]) -> dict[str, Any]:
    gap = float(max(np.mean(one != own) for one, own in zip(theirs, ours, strict=True)))
    text = f"MediaPipe Tasks sees another class at up to {gap:.2%} of a picture's pixels; the bound is {PIXELS:.1%}."
    return {"difference": gap, "unit": "pixels", "findings": [text] if gap > PIXELS else []}


# what a task's pictures have -> what asks MediaPipe, what compares, and by how much answers may differ
_KINDS: dict[str, tuple[Callable, Callable, float]] = {
    "label": (mediapipe_tasks.classified, _labels, BOUND),
    "boxes": (mediapipe_tasks.detected, _boxes, BOUND),
    "mask": (mediapipe_tasks.segmented, _masks, PIXELS),
}
