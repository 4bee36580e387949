"""A backbone and an architecture by its name -> a model."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import keras

from tfmap import models
from tfmap.errors import InputError, did_you_mean
from tfmap.models.levels import marked

LEAST_WIDTH = 8


def check(arch: str, known: Sequence[str], *, width: int, usual: str) -> None:
    """Refuse what cannot be built, before a backbone is.

    Args:
        arch: name of an architecture.
        known: the task's architectures.
        width: channels of what stands on the backbone.
        usual: which widths are, in words.

    Raises:
        InputError: an unknown architecture, or too small a width.
    """
    if arch not in known:
        raise InputError(f"model.arch must be one of {', '.join(known)}, received {arch!r}.{did_you_mean(arch, known)}")
    if width < LEAST_WIDTH:
        raise InputError(f"model.width must be at least {LEAST_WIDTH}, received {width!r}; {usual} is usual.")


def detector(arch: str, backbone: str, classes: int, width: int, **body: Any) -> keras.Model:
    """A detector, as `assemble`, of one class at least.

    Raises:
        InputError: fewer classes.
    """
    if classes < 1:
        raise InputError(f"model: classes must be a whole number of at least 1, received {classes!r}.")
    return assemble(f"detectors.{arch}", backbone, classes, width, **body)


def assemble(module: str, backbone: str, classes: int, width: int, **body: Any) -> keras.Model:
    """The architecture of a module on a backbone, whose maps stay to be told from what stands on them.

    Args:
        module: such as "detectors.tfmap_det".
        backbone: one of `tfmap.models.names()`.
        classes: K.
        width: channels of what stands on the backbone.
        body: further keywords of `tfmap.models.build`.
    """
    below = marked(models.build(backbone, **body))
    return importlib.import_module(f"tfmap.tasks.{module}").head(below, classes, width=width)
