"""Which layers of a model learn: all, the head alone, or from a stage or a layer on."""

from __future__ import annotations

import keras

from tfmap.errors import InputError, did_you_mean
from tfmap.models.levels import LEVELS, stages


def freeze(model: keras.Model, trainable: bool | str) -> None:
    """Set `trainable` on every layer of a flat functional model.

    Args:
        model: the model.
        trainable: True (all layers learn), False (the head alone), a stage ("P1" to "P5", "head") or the name of a
            layer: from there to the end layers learn.

    Raises:
        InputError: no such stage or layer in this model.
    """
    learns = _from(model, trainable)
    for layer in model.layers:
        layer.trainable = layer.name in learns


def _from(model: keras.Model, trainable: bool | str) -> set[str]:
    names = [layer.name for layer in model.layers]
    if trainable is True:
        return set(names)
    depth = stages(model)
    if trainable is False or trainable in LEVELS:
        first = LEVELS.index("head") if trainable is False else LEVELS.index(trainable)
        return {name for name in names if depth[name] >= first}
    if trainable not in names:
        raise InputError(
            f"unfreeze: {model.name} has no stage or layer {trainable!r}. Stages: {', '.join(LEVELS)}; "
            f"layers: {', '.join(names[:3])}, ..., {', '.join(names[-3:])}.{did_you_mean(trainable, [*LEVELS, *names])}"
        )
    return set(names[names.index(trainable) :])
