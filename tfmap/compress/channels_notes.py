"""What is written down while channels are followed through a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

# What an axis does with its channels: it reads them and sums over them, makes new ones, or goes along with them.
READS, MAKES, FOLLOWS = "reads", "makes", "follows"


@dataclass(frozen=True)
class Axis:
    """An axis of a weight that runs over channels.

    Attributes:
        layer: name of the layer.
        weight: name of the weight, such as "kernel".
        axis: index of the axis.
        role: READS, MAKES or FOLLOWS.
        channels: int (n,): which channel stands at each place.
    """

    layer: str
    weight: str
    axis: int
    role: str
    channels: np.ndarray


@dataclass(frozen=True)
class Call:
    """One call of an operation, as the rules see it.

    Attributes:
        operation: the Keras layer or operation.
        inputs: int (C,) for each input tensor: its channels, along the last axis.
        shapes: the shape of each input tensor.
        output: the shape of the output.
        constants: what else it was called with.
    """

    operation: Any
    inputs: list[np.ndarray]
    shapes: list[tuple[int | None, ...]]
    output: tuple[int | None, ...]
    constants: list[Any]

    @property
    def rank(self) -> int:
        """Of the first input, the batch axis counted."""
        return len(self.shapes[0])


class Notes:
    """Channels are numbered as they are made; which of them belong together is said by ties."""

    def __init__(self) -> None:
        self.count = 0
        self.ties: list[tuple[np.ndarray, np.ndarray]] = []
        self.kept: list[np.ndarray] = []
        self.axes: dict[tuple[str, str, int], Axis] = {}
        self.sizes: dict[tuple[str, str], np.ndarray] = {}
        self.lost: set[str] = set()
        self._made: dict[str, np.ndarray] = {}

    def fresh(self, number: int | None) -> np.ndarray:
        """New channels."""
        self.count += number or 0
        return np.arange(self.count - (number or 0), self.count)

    def tie(self, one: np.ndarray, other: np.ndarray) -> None:
        """Channel by channel, these go together; where they are not as many, all stay."""
        if len(one) == len(other):
            self.ties.append((one, other))
        else:
            self.kept += [one, other]

    def keep(self, channels: np.ndarray) -> np.ndarray:
        """These stay."""
        self.kept.append(channels)
        return channels

    def made(self, layer: keras.Layer, number: int) -> np.ndarray:
        """The channels that a layer makes: the same ones at every call, as its filters are the same."""
        if layer.name not in self._made:
            self._made[layer.name] = self.fresh(number)
        return self._made[layer.name]

    def axis(self, layer: keras.Layer, weight: str, axis: int, role: str, channels: np.ndarray) -> None:
        """An axis of a weight runs over these channels, and so, where a layer is called again, over those."""
        known = self.axes.setdefault((layer.name, weight, axis), Axis(layer.name, weight, axis, role, channels))
        self.tie(known.channels, channels)

    def size(self, layer: keras.Layer, key: str, channels: np.ndarray) -> None:
        """An argument of a layer is the number of these channels, or a shape that ends in it."""
        self.tie(self.sizes.setdefault((layer.name, key), channels), channels)

    def give_up(self) -> None:
        """A layer that was lost at one of its calls keeps the channels of all of them."""
        for (layer, *_), axis in self.axes.items():
            if layer in self.lost:
                self.keep(axis.channels)
        for (layer, _), channels in self.sizes.items():
            if layer in self.lost:
                self.keep(channels)
