"""What export is asked for and cannot do, told before minutes of conversion."""

from __future__ import annotations

from collections.abc import Sequence

from tfmap import tasks
from tfmap.errors import InputError
from tfmap.export import detectors
from tfmap.source import Split


def check_python(which: str, also: Sequence[str]) -> None:
    """Raise InputError for what only the command does, which has a run folder."""
    if also:
        raise InputError(
            f"export.also={list(also)} writes into a run folder, for python -m tfmap.export RUN. "
            "In Python call tfmap.export.formats.write."
        )
    if which != "auto":
        raise InputError(
            f"export.which={which!r} chooses a file of a run folder, for python -m tfmap.export RUN. "
            "In Python pass that model itself."
        )


def check_thresholds(precision: float | None, val: Split | None) -> None:
    """Raise InputError if there is nothing to fit thresholds on."""
    if precision is not None and not (val is not None and len(val)):
        raise InputError(
            f"export.threshold_precision={precision:g} is for thresholds that are fitted on validation "
            "pictures; there are none. Set datasets.val_fraction above 0."
        )


def check_ends(task: str, *, suppression: bool, class_map: bool, output_type: str) -> None:
    """Raise InputError for a last op that the task's files do not have, or of another dtype."""
    target = tasks.target(tasks.get(task))
    if not suppression and target not in detectors.LOCATED:
        raise InputError(f"export.suppression=false is for task detection, received task={task}. Leave it out.")
    if class_map and target != "mask":
        raise InputError(f"export.class_map=true is for task segmentation, received task={task}. Leave it out.")
    if class_map and output_type not in ("auto", "uint8"):
        raise InputError(
            f"export.class_map=true gives the number of each pixel's class as uint8, received "
            f"export.output_type={output_type}. Leave it out."
        )
