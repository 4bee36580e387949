"""The dice of one batch: every number is drawn per picture, from the seed that the caller gives."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
from keras import ops

from tfmap import maps

Tensor = Any

# Numbers per picture that are drawn at once: each call of the generator is a hundred operations to compile.
_ROWS = 64


_ROUNDS = ((13, 15, 26, 6), (17, 29, 16, 24))  # rotations of Threefry-2x32


def random_bits(key: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two random words for each pair of counters: Threefry-2x32 with 20 rounds, in integer arithmetic alone.

    Not keras.random: its floats differ between TensorFlow's own kernels and XLA, its integers between TensorFlow and
    JAX. With this one a seed means the same pictures everywhere.

    Args:
        key: uint32 (2,).
        first, second: uint32 of one shape, the counters.

    Returns:
        two uint32 of that shape.

    Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011.
    """
    keys = ops.stack([key[0], key[1], key[0] ^ key[1] ^ np.uint32(0x1BD11BDA)])
    x, y = first + keys[0], second + keys[1]
    for group in range(5):
        for bits in _ROUNDS[group % 2]:
            x = x + y
            y = x ^ (ops.left_shift(y, np.uint32(bits)) | ops.right_shift(y, np.uint32(32 - bits)))
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def _counter(length: Tensor) -> Tensor:
    """uint32: 0, ..., length - 1; XLA has no range of uint32."""
    return ops.cast(ops.arange(length, dtype="int32"), "uint32")


def _pairs(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Every pair of two counters that broadcast to each other."""
    return first + 0 * second, second + 0 * first


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
        self._seed = seed
        self._drawn = self._fields = 0

    @property
    def grey(self) -> Tensor:
        """float32 (B,), 0..255: mean luma of each picture, from every second row and column."""
        # All pixels take 5.6 ms of one core for (32, 224, 224, 3), these 1.6 ms; the whole colour product takes 10.
        mean = ops.mean(ops.cast(self._image[:, ::2, ::2], "float32"), axis=(1, 2))
        return ops.sum(mean * maps.LUMA, axis=-1)

    @property
    def ones(self) -> Tensor:
        """float32 (B,), for ops that draw nothing."""
        return ops.ones((self.count,))

    def uniform(self, low: float | Tensor, high: float | Tensor) -> Tensor:
        """float32 (B,) in [low, high)."""
        row = self._drawn % _ROWS
        if row == 0:
            numbers = (np.arange(_ROWS // 2) + self._drawn // 2).astype("uint32")[:, None]
            pictures = _counter(self.count)[None]
            words = random_bits(self._seed, *_pairs(pictures, numbers))
            self._table = ops.cast(ops.right_shift(ops.concatenate(words), np.uint32(8)), "float32") * 2.0**-24
        self._drawn += 1
        return low + (high - low) * self._table[row]

    def swing(self, least: float | Tensor, most: float | Tensor) -> Tensor:
        """float32 (B,): +-U(least, most), either sign by toss of a coin."""
        thrown = self.uniform(-1.0, 1.0)
        return ops.sign(thrown) * (least + (most - least) * ops.abs(thrown))

    def integer(self, low: int | Tensor, high: int | Tensor) -> Tensor:
        """float32 (B,), whole: low, ..., high, one as likely as another."""
        return ops.minimum(ops.floor(self.uniform(low, high + 1.0)), high)

    def field(self, channels: int) -> Tensor:
        """float32 (B, channels, H, W) in (0, 1), one number for every value of a picture."""
        height, width = self.size
        half = (width + 1) // 2
        pixel = ops.reshape(_counter(channels * height * half), (1, channels, height, half))
        picture = ops.reshape(_counter(self.count), (-1, 1, 1, 1))
        words = random_bits(self._field_key(), *_pairs(picture, pixel))
        bits = ops.concatenate(words, axis=-1)[..., :width]
        return (ops.cast(ops.right_shift(bits, np.uint32(9)), "float32") + 0.5) * 2.0**-23

    def several(self, low: float | Tensor, high: float | Tensor, shape: tuple[int, ...]) -> Tensor:
        """float32 (B, *shape) in [low, high): a few numbers per picture at once."""
        number = ops.reshape(_counter(math.prod(shape)), (1, *shape))
        picture = ops.reshape(_counter(self.count), (-1, *[1] * len(shape)))
        bits, _ = random_bits(self._field_key(), *_pairs(picture, number))
        low, high = (ops.reshape(ops.cast(bound, "float32"), (-1, *[1] * len(shape))) for bound in (low, high))
        return low + (high - low) * (ops.cast(ops.right_shift(bits, np.uint32(8)), "float32") * 2.0**-24)

    def _field_key(self) -> Tensor:
        """A key of its own for each field: counters of pictures and of their numbers fill the two words."""
        self._fields += 1
        return ops.stack(random_bits(self._seed, np.uint32(0xFFFFFFFF), np.uint32(self._fields)))

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

    def blend(self, count: int) -> Tensor:
        """float32 (B, 1 + count): what a picture keeps, U(0, 1), and the shares of `count` others, Dirichlet(1)."""
        # waiting times over their sum are Dirichlet(1)
        waits = ops.stack([-ops.log(1.0 - self.uniform(0.0, 1.0)) + 1e-7 for _ in range(count)], axis=-1)
        kept = self.uniform(0.0, 1.0)[:, None]
        return ops.concatenate([kept, (1.0 - kept) * waits / ops.sum(waits, axis=-1, keepdims=True)], axis=-1)

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
