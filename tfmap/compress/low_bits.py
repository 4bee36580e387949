"""Kernels in a few bits: where rounding leaves so few values, a network has to learn with them."""

from __future__ import annotations

from typing import Any

from keras import ops

NORMAL_STEP = 0.42  # of the mean magnitude: the step of least square error for a normal distribution in 15 values


def rounded(kernel: Any, bits: int = 4) -> Any:
    """The kernel on the grid of a symmetric file format, one step for each output channel.

    The largest magnitude of a channel is always a whole 2 ** (bits - 1) - 1 steps, so an exporter that takes its step
    from there finds this very grid, also after a normalisation has been folded into the kernel.

    Args:
        kernel: float32 (..., C).
        bits: 2 to 8, the sign included.

    Returns:
        float32 (..., C); gradients pass as if nothing had been rounded.

    Source: Max, Quantizing for minimum distortion, 1960, table II; Bengio et al., Estimating or propagating gradients
        through stochastic neurons, 2013 (straight-through).
    """
    most = 2 ** (bits - 1) - 1
    size = ops.abs(kernel)
    axes = tuple(range(len(kernel.shape) - 1))
    largest = ops.max(size, axis=axes, keepdims=True) / most
    step = ops.maximum(largest, 1e-12) if bits > 4 else _step(size, largest, axes, most)
    on_grid = ops.clip(ops.round(kernel / step), -most, most) * step
    return kernel + ops.stop_gradient(on_grid - kernel)


def _step(size: Any, largest: Any, axes: tuple[int, ...], most: int) -> Any:
    typical = NORMAL_STEP * 7 / most * ops.mean(size, axis=axes, keepdims=True)
    return ops.maximum(ops.minimum(typical, largest), 1e-12)
