"""The ops on values and neighbours: tones, filters, noise. Registered like those of ops.py, which explains the kinds.

An op draws the strength for each picture; what it does to pixels is the function of its name in tones.py, filters.py or
noises.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfmap.augment.ops import op

if TYPE_CHECKING:
    from tfmap.augment.draws import Draw

Tensor = Any


@op("tone", lo=(1, 8), hi=("lo", 8))
def posterise(draw: Draw, lo: int = 4, hi: int = 7) -> Tensor:
    """Keep the highest bits of every value and clear the others: as many as U{lo, ..., hi}, whole numbers in [1, 8]."""
    return draw.integer(lo, hi)


@op("tone", lo=(0, 256), hi=("lo", 256))
def solarise(draw: Draw, lo: float = 128.0, hi: float = 256.0) -> Tensor:
    """Invert the values at or above U(lo, hi), both in [0, 256]."""
    return draw.uniform(lo, hi)


@op("tone")
def invert(draw: Draw) -> Tensor:
    """Make a negative, 255 - value; maybe(p, invert) for some of the pictures."""
    return draw.ones


@op("tone")
def autocontrast(draw: Draw) -> Tensor:
    """Stretch each channel so that its darkest value becomes 0 and its lightest 255."""
    return draw.ones


@op("tone")
def equalise(draw: Draw) -> Tensor:
    """Flatten the histogram of each channel."""
    return draw.ones


@op("filter", factor=(0, 1), least=(0, "factor"))
def sharpness(draw: Draw, factor: float = 0.5, least: float = 0.0) -> Tensor:
    """Stretch each pixel away from the smoothed picture by 1 +-U(least, factor), both in [0, 1]: softer below 1,
    sharper above."""
    return 1.0 + draw.swing(least, factor)


@op("filter", sigma=(0, 10))
def blur(draw: Draw, sigma: float = 2.0) -> Tensor:
    """Blur by a Gaussian of U(0, sigma) pixels, sigma in [0, 10]."""
    return draw.uniform(0.0, sigma)


@op("filter", lo=(1, 100), hi=("lo", 100))
def jpeg(draw: Draw, lo: int = 30, hi: int = 90) -> Tensor:
    """Lose what JPEG loses at a quality of U{lo, ..., hi}, whole numbers in [1, 100]."""
    return draw.integer(lo, hi)


@op("noise", sigma=(0, 100))
def noise(draw: Draw, sigma: float = 10.0) -> Tensor:
    """Add Gaussian noise to every value, its standard deviation U(0, sigma), sigma in [0, 100]."""
    return draw.uniform(0.0, sigma)


@op("noise", share=(0, 1))
def salt_pepper(draw: Draw, share: float = 0.02) -> Tensor:
    """Make a share U(0, share) of the pixels black or white, share in [0, 1]."""
    return draw.uniform(0.0, share)
