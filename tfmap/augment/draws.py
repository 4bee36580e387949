"""The dice of one batch: every number is drawn per picture, from the seed that the caller gives."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import keras
import numpy as np
from keras import ops

from tfmap import maps

Tensor = Any

# Numbers per picture that are drawn at once: each call of a generator adds a program of its own to compile.
_ROWS = 32


class Seeds(keras.random.SeedGenerator):
    """A seed for every draw, folded out of one seed tensor.

    keras.random takes an int or a SeedGenerator. The stock one counts in a variable, which a traced function may not
    make and JAX would lose; this one counts while the function is traced.

    Args:
        seed: uint32 (2,).
    """

    def __init__(self, seed: Tensor) -> None:
        self._seed = seed
        self._count = 0

    def next(self, ordered: bool = True) -> Tensor:
        """The seed of the next draw, uint32 (2,)."""
        self._count += 1
        # Multiples of odd constants far apart (golden ratio, murmur3): seeds (s, step) and (s, step + 1) never meet.
        return self._seed + np.array([0x9E3779B9 * self._count, 0x85EBCA6B * self._count], "uint64").astype("uint32")


class Draw:
    """What an op may know: the dice, the size of the batch, the mean grey of its pictures and the algebra.

    Args:
        seed: uint32 (2,).
        image: (B, H, W, C), values 0..255.
    """

    maps: ModuleType = maps

    def __init__(self, seed: Tensor, image: Tensor) -> None:
        self.count = ops.shape(image)[0]
        self.size = (image.shape[1], image.shape[2])
        self._image = image
        self._seeds = Seeds(seed)
        self._drawn = 0

    @property
    def grey(self) -> Tensor:
        """float32 (B,), 0..255: mean luma of each picture, from every second row and column."""
        # All pixels take 5.6 ms of one core for (32, 224, 224, 3), these 1.6 ms; the whole colour product takes 10.
        mean = ops.mean(ops.cast(self._image[:, ::2, ::2], "float32"), axis=(1, 2))
        return ops.sum(mean * maps.LUMA, axis=-1)

    def uniform(self, low: float, high: float) -> Tensor:
        """float32 (B,) in [low, high)."""
        row = self._drawn % _ROWS
        if row == 0:
            # Not keras.random.uniform: its floats differ between TensorFlow's own kernels and XLA, its integers do not.
            self._table = keras.random.randint((_ROWS, self.count), 0, 2**24, seed=self._seeds)
        self._drawn += 1
        return low + (high - low) * (ops.cast(self._table[row], "float32") * 2.0**-24)

    def uniform_field(self, low: float, high: float, shape: tuple[int, ...]) -> Tensor:
        """float32 (B, *shape) in [low, high): many numbers per picture at once."""
        drawn = keras.random.randint((self.count, *shape), 0, 2**24, seed=self._seeds)
        return low + (high - low) * (ops.cast(drawn, "float32") * 2.0**-24)

    def log_uniform(self, ratio: float) -> Tensor:
        """float32 (B,) in [1 / ratio, ratio), as likely above 1 as below."""
        return ops.exp(self.uniform(-math.log(ratio), math.log(ratio)))

    def chance(self, p: float) -> Tensor:
        """bool (B,), true with probability p."""
        return self.uniform(0.0, 1.0) < p

    def beta(self, alpha: float) -> Tensor:
        """float32 (B,) in [0, 1] from Beta(alpha, alpha), exact, in closed form from two uniforms.

        keras.random.beta rests on a gamma kernel that XLA does not have (StatelessRandomGammaV3).

        Source: Bailey, Polar generation of random variates with the t-distribution, 1994: t = sqrt(2a (w - 1)) cos(v)
        with w = u^(-1/a) is Student's t of 2a degrees, and (1 + t / sqrt(2a + t^2)) / 2 is Beta(a, a). Written with
        1 / w, so that nothing overflows at small alpha.
        """
        inverse = (1.0 - self.uniform(0.0, 1.0)) ** (1.0 / alpha)
        cos = ops.cos(self.uniform(0.0, math.pi))
        square = (1.0 - inverse) * cos * cos
        return 0.5 + 0.5 * ops.sign(cos) * ops.sqrt(square / (inverse + square))

    def rectangle(self, share: Tensor, aspect: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A rectangle inside each picture, uniform in place.

        Args:
            share: float32 (B,), area over that of the picture.
            aspect: float32 (B,) or a number, width over height, as a multiple of the picture's; sides are cut to fit.

        Returns:
            top, left, height, width: float32 (B,) in pixels.
        """
        height = ops.minimum(ops.sqrt(share / aspect), 1.0) * self.size[0]
        width = ops.minimum(ops.sqrt(share * aspect), 1.0) * self.size[1]
        top = self.uniform(0.0, 1.0) * (self.size[0] - height)
        left = self.uniform(0.0, 1.0) * (self.size[1] - width)
        return top, left, height, width

    def inside(self, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
        """bool (B, H, W, 1): the pixels whose centre lies in a rectangle."""
        y, x = (ops.arange(side, dtype="float32") + 0.5 for side in self.size)
        rows, columns = (
            (centre >= start[:, None]) & (centre < (start + length)[:, None])
            for centre, start, length in ((y, top, height), (x, left, width))
        )
        return rows[:, :, None, None] & columns[:, None, :, None]

    def floats(self, values: Tensor) -> Tensor:
        """Any tensor as float32."""
        return ops.cast(values, "float32")
