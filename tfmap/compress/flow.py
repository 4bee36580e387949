"""The steps of a recipe, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from tfmap.compress import qat
from tfmap.compress.channels import channels
from tfmap.compress.finetune import Feed, FineTuning
from tfmap.compress.prune import prune
from tfmap.compress.recipe import Step

_TRAINING = ("epochs", "learning_rate")
_TOOLS = {"prune": prune, "channels": channels, "qat": qat.train}


def run(model: keras.Model, feed: Feed, steps: Sequence[Step], how: FineTuning) -> keras.Model | qat.QuantizedModel:
    """Send a model through the steps; the model itself is left as it is.

    Args:
        model: Keras 3 classifier.
        feed: batches.
        steps: of a recipe.
        how: the fine-tuning, where a step does not say otherwise.
    """
    small: Any = model
    for step in steps:
        own = {key: value for key, value in step.arguments.items() if key in _TRAINING}
        rest = {key: value for key, value in step.arguments.items() if key not in _TRAINING}
        small = _TOOLS[step.name](small, feed, how=replace(how, **own), **rest)
    return small
