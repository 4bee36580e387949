"""What a loss reads of a model besides its outputs, without the model that is saved and exported ever showing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import keras

Loss = TypeVar("Loss", bound=Callable[[Any, Any], Any])


def reads(*layers: str) -> Callable[[Loss], Loss]:
    """Decorator of a loss (targets, outputs): it finds the outputs of further layers, too, in the model's outputs.

    Args:
        layers: their names.
    """

    def mark(loss: Loss) -> Loss:
        loss.reads = layers
        return loss

    return mark


def said(model: keras.Model, loss: Callable[[Any, Any], Any]) -> keras.Model:
    """The model as a loss wants to see it: the same layers and weights, further outputs.

    Args:
        model: a functional model; its outputs a dict if the loss reads layers.
        loss: marked by `reads`, or not.

    Returns:
        keras.Model: the model itself where its outputs are enough.
    """
    layers = getattr(loss, "reads", ())
    if not layers:
        return model
    outputs = {**model.output, **{name: model.get_layer(name).output for name in layers}}
    return keras.Model(model.input, outputs, name=model.name)
