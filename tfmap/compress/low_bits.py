"""Kernels in four bits: where rounding leaves so few values, a network has to learn with them."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import tf_keras
from keras import ops

from tfmap.compress import rounding
from tfmap.compress.finetune import Feed, FineTuning
from tfmap.errors import InputError

ROUNDED = (tf_keras.layers.Conv2D, tf_keras.layers.Dense)
NARROW = 4  # kernels of so few input channels see the pixels; files of format int4 keep 8 bits there
NORMAL_STEP = 0.42  # of the mean magnitude: the step of least square error for a normal distribution in 15 values


def low_bits(model: keras.Model, feed: Feed, *, bits: int = 4, how: FineTuning | None = None) -> keras.Model:
    """Fine-tune a network whose kernels are rounded to a few bits in every step.

    Args:
        model: Keras 3 classifier: images (B, H, W, C), values 0..255 -> probabilities (B, K).
        feed: batches.
        bits: 2 to 4, the sign included, of the kernels of convolutions and dense layers. Depthwise kernels, and those
            of up to four input channels, are left as they are.
        how: the fine-tuning.

    Returns:
        keras.Model: a new ordinary Keras 3 model whose kernels lie on the grid of a file in format int4, so that
            exporting it rounds nothing but activations. Zeros of a pruned kernel stay zeros.

    Raises:
        InputError: bits out of range, no such layer, or a model that cannot be bridged.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference,
        2018, section 3, of kernels alone.
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 4:
        raise InputError(f"compress: low_bits takes bits from 2 to 4, received {bits!r}. For 8 bits take qat.")

    def plan(legacy: tf_keras.Model) -> dict[str, Any]:
        kernels = {layer.name: layer.kernel for layer in legacy.layers if is_rounded(layer)}
        if not kernels:
            raise InputError(
                f"compress: low_bits finds no convolution and no dense layer of more than {NARROW} input channels in "
                f"{model.name!r}. Leave it out."
            )
        return {name: partial(rounded, bits=bits, alive=alive(kernel)) for name, kernel in kernels.items()}

    return rounding.fine_tuned(model, feed, how or FineTuning(), "low_bits", plan)


def is_rounded(layer: tf_keras.layers.Layer) -> bool:
    """Whether format int4 has 4 bits for its kernel."""
    return type(layer) in ROUNDED and layer.kernel.shape[-2] > NARROW


def alive(kernel: Any) -> Any:
    """1 where a kernel has weights, 0 where pruning has left none; float32, the kernel's shape."""
    return ops.cast(ops.not_equal(kernel, 0.0), "float32")


def rounded(kernel: Any, bits: int = 4, alive: Any = 1.0) -> Any:
    """The kernel on the grid of a symmetric file format, one step for each output channel.

    The largest magnitude of a channel is always a whole 2 ** (bits - 1) - 1 steps, so an exporter that takes its step
    from there finds this very grid, also after a normalisation has been folded into the kernel.

    Args:
        kernel: float32 (..., C).
        bits: 2 to 4, the sign included.
        alive: 0 for weights that are zero and stay it, else 1; the kernel's shape, or one for all.

    Returns:
        float32 (..., C).

    Source: Max, Quantizing for minimum distortion, 1960, table II.
    """
    most = 2 ** (bits - 1) - 1
    kernel = kernel * alive
    size, axes = ops.abs(kernel), tuple(range(len(kernel.shape) - 1))
    typical = NORMAL_STEP * 7 / most * ops.mean(size, axis=axes, keepdims=True)
    step = ops.minimum(typical, ops.max(size, axis=axes, keepdims=True) / most)
    step = ops.maximum(step, 1e-12)  # a channel of zeros
    return ops.clip(ops.round(kernel / step), -most, most) * step
