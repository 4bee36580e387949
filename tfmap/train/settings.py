"""Are a training's settings possible at all? Told before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfmap import signatures, tasks
from tfmap.errors import InputError
from tfmap.source import Source

_PLURALS = {"label": "labels", "boxes": "boxes", "mask": "masks", "instances": "boxes with masks"}

# name -> (what is expected, test); `checked` has seen to the types
_RULES = {
    "epochs": ("at least 1", lambda v: v >= 1),
    "head_epochs": ("at least 0", lambda v: v >= 0),
    "learning_rate": ("above 0", lambda v: v > 0),
    "head_learning_rate": ("above 0, or null", lambda v: v is None or v > 0),
    "layer_decay": ("in (0, 1]", lambda v: 0 < v <= 1),
    "weight_decay": ("at least 0", lambda v: v >= 0),
    "warmup": ("in [0, 1)", lambda v: 0 <= v < 1),
    "unmixed_epochs": ("at least 0", lambda v: v >= 0),
    "multi_scale": ("in [0, 0.5]", lambda v: 0 <= v <= 0.5),
    "label_smoothing": ("in [0, 1)", lambda v: 0 <= v < 1),
    "gamma": ("at least 0", lambda v: v >= 0),
    "tau": ("at least 0", lambda v: v >= 0),
    "clip_norm": ("above 0, or null", lambda v: v is None or v > 0),
    "accumulate": ("at least 1", lambda v: v >= 1),
    "ema": ("in [0, 1)", lambda v: 0 <= v < 1),
    "patience": ("at least 1, or null", lambda v: v is None or v >= 1),
    "batchnorm_momentum": ("in [0, 1), or null", lambda v: v is None or 0 <= v < 1),
    "checkpoint_minutes": ("above 0", lambda v: v > 0),
}

# These may change between two starts of one training: they do not touch its result.
FREE = ("resume", "verbose", "checkpoint_minutes", "tensorboard")


def check(recipe: Mapping[str, Any]) -> None:
    """Check every setting of `fit` that has a range.

    Raises:
        InputError: a setting out of its range, by its config key.
    """
    for name, (expected, holds) in _RULES.items():
        if not holds(recipe[name]):
            raise InputError(f"train.{name} must be {expected}, received {recipe[name]!r}.")


def check_target(source: Source, task: str) -> None:
    """Check that a data set says about its pictures what a task learns.

    Raises:
        InputError: it has labels, boxes or masks where another of them is wanted.
    """
    wanted = tasks.target(tasks.get(task))
    if source.target != wanted:
        other = (source.target, wanted) in (("boxes", "label"), ("boxes", "instances"), ("instances", "boxes"))
        hint = f" Set datasets.target to {wanted}." if other else ""
        raise InputError(
            f"train: {source.id} has {_PLURALS[source.target]}; the task {task} wants {_PLURALS[wanted]}.{hint}"
        )


def check_fits(model: keras.Model, source: Source, task: str) -> None:
    """Check that a model, a data set and a task belong together.

    Raises:
        InputError: the model's outputs or input do not fit the data or the task.
    """
    expected, classes = tasks.get(task).OUTPUTS, len(source.classes)
    # A Sequential that nobody has called has outputs, but no `output`.
    output = model.outputs[0] if isinstance(model, keras.Sequential) else model.output
    shapes = keras.tree.map_structure(lambda one: tuple(one.shape), output)
    if len(model.inputs) != 1 or not _is_like(expected, shapes):
        raise InputError(
            f"train: expected a model of one picture and {_described(expected)}, received inputs {model.input_shape} "
            f"and outputs {shapes}."
        )
    received = {shape[-1] for shape, letters in _pairs(expected, shapes) if letters[-1] == "K"} - {classes}
    if received:
        raise InputError(
            f"train: the model has {received.pop()} outputs but {source.id} has {classes} classes. "
            f"Build it with classes={classes}."
        )
    if None in model.input_shape[1:]:
        raise InputError(
            f"train: the model's input must have a fixed height, width and channels, received {model.input_shape[1:]}."
        )
    if not len(source.split("train")):
        raise InputError(f"train: the split 'train' of {source.id} is empty.")


def _pairs(expected: Any, shapes: Any) -> list[tuple[tuple, tuple]]:
    """Of each output its shape, and what the task says of it."""
    if isinstance(expected, Mapping):
        return [(tuple(shapes[name]), expected[name]) for name in expected]
    return [(tuple(shapes), expected)]


def _is_like(expected: Any, shapes: Any) -> bool:
    """Whether outputs have the names and ranks that a task says, and the sizes that are numbers."""
    names = set(expected) if isinstance(expected, Mapping) else None
    if names != (set(shapes) if isinstance(shapes, Mapping) else None) or isinstance(shapes, list):
        return False
    return all(
        len(shape) == len(letters)
        and all(isinstance(letter, str) or size == letter for size, letter in zip(shape, letters, strict=True))
        for shape, letters in _pairs(expected, shapes)
    )


def _described(expected: Any) -> str:
    if not isinstance(expected, Mapping):
        return f"one output ({', '.join(map(str, expected))})"
    parts = [f"{name} ({', '.join(map(str, letters))})" for name, letters in expected.items()]
    return f"outputs {' and '.join(parts)}"


def check_loss(recipe: Mapping[str, Any]) -> None:
    """Check that no setting of the loss was changed that the task does not have.

    Raises:
        InputError: there is one.
    """
    module, known = tasks.get(recipe["task"]), signatures.keys("train")
    takes = tasks.accepted(module.losses, **recipe) | tasks.accepted(module.targets, **recipe)
    for name in ("label_smoothing", "gamma", "tau", "class_weights"):
        if name not in takes and recipe[name] != known[name].default:
            raise InputError(
                f"train.{name} says nothing to the task {recipe['task']}, received {recipe[name]!r}. Leave it out."
            )


def identity(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a recipe that a checkpoint must agree with, in JSON's types."""
    kept = {key: value for key, value in recipe.items() if key not in FREE}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()}
