"""Noise, drawn anew for every pixel: (planes, strength, draw) -> planes, float32 (B, C, H, W), values 0..255.

`strength` is float32 (B,), what the op of the same name drew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from tfmap.augment.draws import Draw

Tensor = Any


def noise(planes: Tensor, sigma: Tensor, draw: Draw) -> Tensor:
    """Add Gaussian noise of standard deviation `sigma`."""
    normal = math.sqrt(2.0) * ops.erfinv(2.0 * draw.field(planes.shape[1]) - 1.0)
    return planes + sigma[:, None, None, None] * normal


def salt_pepper(planes: Tensor, share: Tensor, draw: Draw) -> Tensor:
    """Make a share of the pixels black or white, half of it each."""
    place, half = draw.field(1), share[:, None, None, None] / 2.0
    return ops.where(place < half, 0.0, ops.where(place > 1.0 - half, 255.0, planes))


NOISES: dict[str, Callable[[Tensor, Tensor, Draw], Tensor]] = {
    function.__name__: function for function in (noise, salt_pepper)
}
