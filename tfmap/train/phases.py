"""What learns when, and how fast: the head first, then the network from a named stage on, rates falling with depth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras

from tfmap.models.freeze import freeze
from tfmap.models.levels import stages


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one set of trainable layers and one schedule.

    Attributes:
        name: "head" or "all".
        first: number of its first epoch, counted over the whole run from 0.
        epochs: how many.
        trainable: what learns: True, False (the head alone) or a stage's or layer's name.
        learning_rate: highest rate.
    """

    name: str
    first: int
    epochs: int
    trainable: bool | str
    learning_rate: float

    @property
    def end(self) -> int:
        """Number of the first epoch after it."""
        return self.first + self.epochs


def plan(
    *, epochs: int, head_epochs: int, unfreeze: bool | str, learning_rate: float, head_learning_rate: float
) -> list[Phase]:
    """The phases of a training."""
    head = Phase("head", 0, head_epochs, False, head_learning_rate)
    body = Phase("all", head_epochs, epochs, unfreeze, learning_rate)
    return [phase for phase in (head, body) if phase.epochs]


def set_trainable(model: keras.Model, trainable: bool | str, *, batchnorm: str) -> None:
    """Freeze what a phase does not train.

    Args:
        model: a model that `build` of a task made, or any functional model.
        trainable: see `tfmap.models.freeze`.
        batchnorm: "live": the normalisations of layers that learn use and update batch statistics; "frozen": all keep
            the statistics they came with. One run each on TrashNet, MobileNetV1-0.25: live 90.5%, frozen 84.8%.
    """
    freeze(model, trainable)
    if batchnorm == "frozen":
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False


@contextmanager
def momentum(model: keras.Model, value: float | None) -> Iterator[None]:
    """Give every BatchNorm, those of models within the model too, a momentum of its moving statistics, for a while.

    Pretrained networks carry 0.99, which follows over some hundred steps. A small data set has no more than that in
    ten epochs: validation then looks at statistics of weights long gone.

    Args:
        model: the model; its own momenta are back at the end.
        value: in [0, 1); None changes nothing.
    """
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    own = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = layer.momentum if value is None else value
    try:
        yield
    finally:
        for layer, before in zip(norms, own, strict=True):
            layer.momentum = before


def layer_factors(model: keras.Model, decay: float) -> dict[str, float]:
    """Variable path -> factor on the learning rate: 1 at the head, times `decay` for each stage towards the stem.

    Source: Howard and Ruder, Universal Language Model Fine-tuning, 2018, section 3.2.
    """
    if decay == 1:
        return {}
    depth = stages(model)
    deepest = max(depth.values())
    return {
        variable.path: decay ** (deepest - depth[layer.name])
        for layer in model.layers
        for variable in layer.trainable_variables
    }
