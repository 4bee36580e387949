"""What a map means. Every task module has the same names. Eight of them in the order in which data moves:

    spec      shapes and dtypes of a batch
    prepare   raw picture -> what the spec says; CPU, deterministic
    targets   augmented batch -> training targets; on the device
    build     backbone -> functional model
    losses    how far outputs are from targets
    metrics   what the progress bar shows
    decode    raw outputs -> answers, one a picture
    score     answers and truths -> dict of numbers

and five that answers are looked at with:

    curves    answers and truths -> curves of each class
    worst     answers and truths -> the pictures that are furthest off
    describe  an answer -> its parts by name
    drawn     a picture and an answer -> the answer drawn over it
    alike     two models' answers -> how much of each picture they decide alike

Those without labels have two more, as boxes and masks have a place, and a teacher's opinion of them is not mixed into
the targets:

    imitation a teacher's outputs and a pupil's -> how far they are apart
    whole     outputs of windows of a picture -> the answer for all of it

`decode` and `score` do not know the model, so the exported file is scored by the functions that scored Keras. OUTPUTS
says what comes out of `build`'s model: a shape, or names with shapes; B pictures, A places, K classes.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tfmap.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import keras

    from tfmap.source import Source, Split

HEADLINES = ("mAP", "mIoU", "map", "accuracy")  # the first one that a score has; in 0..1
NAMES = ("classification", "detection", "segmentation", "instances")


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


def truths(split: Split, task: str) -> Any:
    """What a split says about its pictures, as the task's `score` takes it.

    Args:
        split: N examples.
        task: its name.

    Returns:
        labels int32 (N,) or float32 (N, K); `source.Boxes`; masks, uint8 (h, w) each; or `instances.Truths`.
    """
    from tfmap.instances import Truths

    wanted = target(get(task))
    if wanted in ("label", "boxes"):
        return split.boxes if wanted == "boxes" else split.labels
    masks = [split.masks.read(picture) for picture in range(len(split))]
    return Truths(split.boxes, masks) if wanted == "instances" else masks


def headline(metrics: Mapping[str, Any]) -> str:
    """The number of a `score` by which models are compared.

    With several labels a picture, accuracy is high for a model that always says no.

    Args:
        metrics: what `score` returned.
    """
    return next(name for name in HEADLINES if metrics.get(name) is not None or name == HEADLINES[-1])


def target(module: ModuleType) -> str:
    """What a task learns of a picture: "label", "boxes", "mask", or "instances", which are boxes with masks."""
    batch = module.spec(classes=2, size=(32, 32))
    return next(key for key in ("label", "instances", "boxes", "mask") if key in batch)


def load(path: str | Path) -> keras.Model:
    """A saved model, its layers of ours known to Keras; not compiled.

    Args:
        path: of a .keras file.
    """
    import keras

    from tfmap.tasks import detectors

    for module in pkgutil.iter_modules(detectors.__path__, f"{detectors.__name__}."):
        importlib.import_module(module.name)
    return keras.saving.load_model(path, compile=False)


def class_count(module: ModuleType, model: keras.Model) -> int:
    """K, by the outputs of a model of the task.

    Args:
        module: of the task.
        model: whose outputs are as OUTPUTS says.
    """
    if not isinstance(module.OUTPUTS, Mapping):
        return int(model.outputs[0].shape[-1])
    name = next(name for name, letters in module.OUTPUTS.items() if letters[-1] == "K")
    return int(model.output[name].shape[-1])


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
