"""Are a training's settings possible at all? Told before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfmap.errors import InputError
from tfmap.source import Source

# name -> (what is expected, test); `checked` has seen to the types
_RULES = {
    "epochs": ("at least 1", lambda v: v >= 1),
    "head_epochs": ("at least 0", lambda v: v >= 0),
    "learning_rate": ("above 0", lambda v: v > 0),
    "head_learning_rate": ("above 0, or null", lambda v: v is None or v > 0),
    "layer_decay": ("in (0, 1]", lambda v: 0 < v <= 1),
    "weight_decay": ("at least 0", lambda v: v >= 0),
    "warmup": ("in [0, 1)", lambda v: 0 <= v < 1),
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
        InputError: it has boxes or masks.
    """
    if source.target != "label":
        has, hint = {"boxes": ("boxes", " Set datasets.target to label."), "mask": ("masks", "")}[source.target]
        raise InputError(f"train: {source.id} has {has}; the task {task} wants labels.{hint}")


def check_fits(model: keras.Model, source: Source) -> None:
    """Check that a model and a data set belong together.

    Raises:
        InputError: the model's outputs or input do not fit the data.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.output_shape) != 2:
        raise InputError(
            f"train: expected a model of one picture and one output (B, K), received inputs {model.input_shape} "
            f"and outputs {model.output_shape}."
        )
    if model.output_shape[-1] != len(source.classes):
        raise InputError(
            f"train: the model has {model.output_shape[-1]} outputs but {source.id} has {len(source.classes)} classes. "
            f"Build it with classes={len(source.classes)}."
        )
    if None in model.input_shape[1:]:
        raise InputError(
            f"train: the model's input must have a fixed height, width and channels, received {model.input_shape[1:]}."
        )
    if not len(source.split("train")):
        raise InputError(f"train: the split 'train' of {source.id} is empty.")


def identity(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a recipe that a checkpoint must agree with, in JSON's types."""
    kept = {key: value for key, value in recipe.items() if key not in FREE}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()}
