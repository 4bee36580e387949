"""What a map means. Every task module has the same eight names, in the order in which data moves:

    spec      shapes and dtypes of a batch
    prepare   raw picture -> what the spec says; CPU, deterministic
    targets   augmented batch -> training targets; on the device
    build     backbone -> functional model
    losses    how far outputs are from targets
    metrics   what the progress bar shows
    decode    raw outputs -> predictions
    score     predictions and truths -> dict of numbers

`decode` and `score` do not know the model, so the exported file is scored by the functions that scored Keras. OUTPUTS
says what comes out of `build`'s model: a shape, or names with shapes; B pictures, A places, K classes.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tfmap.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import keras

    from tfmap.source import Source

NAMES = ("classification", "detection", "segmentation")


def get(name: str) -> ModuleType:
    """The module of a task.

    Raises:
        InputError: an unknown task.
    """
    if name not in NAMES:
        raise InputError(f"unknown task {name!r}. Known tasks: {', '.join(NAMES)}.{did_you_mean(name, NAMES)}")
    return importlib.import_module(f"tfmap.tasks.{name}")


def accepted(function: Callable, **facts: Any) -> dict[str, Any]:
    """Those of the facts that one of a task's functions takes: not every task has every one.

    Args:
        function: of a task's module.
        facts: by the names of arguments.
    """
    takes = inspect.signature(function).parameters
    return {name: value for name, value in facts.items() if name in takes}


def target(module: ModuleType) -> str:
    """What a task learns of a picture: "label", "boxes" or "mask"."""
    batch = module.spec(classes=2, size=(32, 32))
    return next(key for key in ("label", "boxes", "mask") if key in batch)


def build(name: str, source: Source, options: Mapping[str, Any]) -> keras.Model:
    """A model for a task and a data set.

    Args:
        name: of the task.
        source: says the classes.
        options: further keywords of the task's `build`, as a config has them.

    Raises:
        InputError: as the task's `build`.
    """
    function = get(name).build
    return function(**accepted(function, classes=len(source.classes), multi_label=source.multi_label), **options)


def metrics(name: str, source: Source) -> list[keras.metrics.Metric]:
    """What a training of a task on a data set shows.

    Args:
        name: of the task.
        source: says the classes.
    """
    function = get(name).metrics
    return function(**accepted(function, classes=len(source.classes), multi_label=source.multi_label))
