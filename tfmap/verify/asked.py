"""What verify is asked for and cannot do, told before minutes of work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfmap import tasks
from tfmap.errors import InputError
from tfmap.export import class_maps
from tfmap.litert import LiteModel
from tfmap.source import Split
from tfmap.verify import browser as page
from tfmap.verify import clients as apps

_NO_INSTANCES = {
    "clients": "asks MediaPipe Tasks, which has none for {}: it finds boxes or masks, not both.",
    "browser": "runs the page of a hand-off kit, and there are no kits for {}.",
}


def check(split: Split, budget: float, seconds: float, against: str) -> None:
    """Raise InputError for pictures that are not there, or a setting out of range."""
    if not len(split):
        raise InputError("verify: the split holds no examples. Set datasets.val_fraction above 0.")
    if budget < 0:
        raise InputError(f"verify.budget must be 0 or more points of the task's metric, received {budget}.")
    if seconds <= 0:
        raise InputError(f"verify.seconds must be above 0, received {seconds}.")
    if against != "model":
        raise InputError(
            f"verify.against={against!r} chooses a file of a run folder, for python -m tfmap.verify RUN. "
            "In Python pass that model itself."
        )


def check_file(lite: LiteModel, model: keras.Model, classes: Sequence[str], task: str, *, clients: bool) -> None:
    """Raise InputError where the file, the Keras model, the classes and what is asked are not of each other."""
    found = {"the Keras model": tasks.class_count(tasks.get(task), model)}
    if len(lite.outputs) == 1 and not _says_classes(lite):  # other files do not tell how many classes there are
        found = {lite.name: int(lite.outputs[0]["shape"][-1]), **found}
    for name, outputs in found.items():
        if outputs != len(classes):
            raise InputError(f"verify: {name} has {outputs} outputs, the data {len(classes)} classes.")
    if lite.input_shape[1:] != tuple(model.input_shape[1:]):
        raise InputError(
            f"verify: {lite.name} takes pictures of {lite.input_shape[1:]}, the Keras model of "
            f"{tuple(model.input_shape[1:])}. Export the file again from this model."
        )
    if clients and _says_classes(lite):
        raise InputError(
            "verify.clients asks MediaPipe Tasks, which wants a score for every class of a pixel and chooses itself; "
            "the file gives classes. Set verify.clients=false, or export.class_map=false."
        )


def programs(task: str, *, clients: bool, browser: bool) -> dict[str, Any]:
    """What asks other programs, once those are known to be there.

    Args:
        task: whose file it is.
        clients: whether MediaPipe Tasks is asked.
        browser: whether the kit's page is.

    Returns:
        "clients" and "browser" -> the module, or None.

    Raises:
        InputError: a program is not installed, or has no answer to files of the task.
    """
    wanted = [name for name, asked in (("clients", clients), ("browser", browser)) if asked]
    if wanted and tasks.target(tasks.get(task)) == "instances":
        raise InputError(f"verify.{wanted[0]} {_NO_INSTANCES[wanted[0]].format(task)} Set verify.{wanted[0]}=false.")
    modules = {"clients": apps if clients else None, "browser": page if browser else None}
    for module in filter(None, modules.values()):
        module.installed()
    return modules


def _says_classes(lite: LiteModel) -> bool:
    return len(lite.outputs) == 1 and class_maps.is_one(tuple(lite.outputs[0]["shape"]))
