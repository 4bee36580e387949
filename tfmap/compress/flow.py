"""The steps of a recipe, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras

from tfmap import runtime
from tfmap.compress import qat
from tfmap.compress.channels import channels
from tfmap.compress.cluster import cluster
from tfmap.compress.distill import distill
from tfmap.compress.finetune import Feed, FineTuning
from tfmap.compress.low_bits import low_bits
from tfmap.compress.low_rank import low_rank
from tfmap.compress.prune import prune
from tfmap.compress.quantized_model import QuantizedModel
from tfmap.compress.recipe import Step

_TRAINING = ("epochs", "learning_rate", "batchnorm")
_STEPS: dict[str, Callable] = {
    "channels": channels,
    "low_rank": low_rank,
    "distill": distill,
    "prune": prune,
    "cluster": cluster,
    "low_bits": low_bits,
    "qat": qat.train,
}
# A step whose network has converged is only to settle between the steps of int8. As the first one it is to say what was
# said before: on sample:trash, three seeds, labels beside the teacher's opinion moved answers to other pictures four
# times as far. Behind others, which took something away, labels help: 1.6 points on MobileNetV2, pruned and clustered.
_GENTLE = {"qat": 0.02}
_FAITHFUL = ("qat",)


def run(model: keras.Model, feed: Feed, steps: Sequence[Step], how: FineTuning) -> keras.Model | QuantizedModel:
    """Send a model through the steps, under the strategy it was built under; the model itself is left as it is.

    Args:
        model: Keras 3 classifier.
        feed: batches.
        steps: of a recipe.
        how: the fine-tuning, where a step does not say otherwise.
    """
    small: Any = model
    with runtime.scope_of(model):
        for number, step in enumerate(steps):
            small = _STEPS[step.name](small, feed, **_settings(step, how, first=number == 0))
    return small


def _settings(step: Step, how: FineTuning, *, first: bool) -> dict[str, Any]:
    """Keyword arguments of a step: its own, and the fine-tuning with what it says of that."""
    own: dict[str, Any] = {"learning_rate": how.learning_rate * _GENTLE.get(step.name, 1)}
    if first and step.name in _FAITHFUL and how.teacher_weight:
        own["teacher_weight"] = 1.0
    own |= {key: value for key, value in step.arguments.items() if key in _TRAINING}
    rest = {key: value for key, value in step.arguments.items() if key not in _TRAINING}
    return {"how": replace(how, **own), **rest}
