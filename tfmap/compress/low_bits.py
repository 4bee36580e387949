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

ROUNDED = (tf_keras.layers.Conv1D, tf_keras.layers.Conv2D, tf_keras.layers.Dense)
NARROW = 4  # kernels of so few input channels see the pixels; files of format int4 keep 8 bits there
# bits -> the step of least square error for normally distributed weights in 3 or 15 values, in mean magnitudes. Three
# bits are missing: a file of int4 has no thirds.
STEPS = {2: 1.534, 4: 0.42}


def low_bits(model: keras.Model, feed: Feed, *, bits: int = 4, how: FineTuning | None = None) -> keras.Model:
    """Fine-tune a network whose kernels are rounded to a few bits in every step.

    Args:
        model: Keras 3 classifier: images (B, H, W, C), values 0..255 -> probabilities (B, K).
        feed: batches.
        bits: 4, or 2 for -1, 0 and 1 times a number for each output channel, of the kernels of convolutions and dense
            layers. Depthwise kernels, and those of up to four input channels, are left as they are; so are those of
            attention and other composed layers, which int4 will then round by itself.
        how: the fine-tuning.

    Returns:
        keras.Model: a new ordinary Keras 3 model whose kernels lie on the grid of a file in format int4, so that
            exporting it rounds nothing but activations. Zeros of a pruned kernel stay zeros.

    Raises:
        InputError: bits out of range, no such layer, or a model that cannot be bridged.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference,
        2018, section 3, of kernels alone.
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or bits not in STEPS:
        raise InputError(f"compress: low_bits takes 2 or 4 bits, received {bits!r}. For 8 bits take qat.")

    def plan(legacy: tf_keras.Model) -> dict[str, Any]:
        names = [layer.name for layer in legacy.layers if is_rounded(layer)]
        if not names:
            raise InputError(
                f"compress: low_bits finds no convolution and no dense layer of more than {NARROW} input channels in "
                f"{model.name!r}. Leave it out."
            )
        return dict.fromkeys(names, partial(rounded, bits=bits))

    return rounding.fine_tuned(model, feed, how or FineTuning(), "low_bits", plan)


def is_rounded(layer: tf_keras.layers.Layer) -> bool:
    """Whether format int4 has 4 bits for its kernel."""
    return type(layer) in ROUNDED and layer.kernel.shape[-2] > NARROW


def rounded(kernel: Any, bits: int = 4) -> Any:
    """The kernel on the grid of a symmetric file format, one step for each output channel; zeros stay zeros.

    The largest magnitude of a channel is always a whole 2 ** (bits - 1) - 1 steps, so an exporter that takes its step
    from there finds this very grid, also after a normalisation has been folded into the kernel.

    Args:
        kernel: float32 (..., C).
        bits: 2 or 4, the sign included.

    Returns:
        float32 (..., C).

    Source: Max, Quantizing for minimum distortion, 1960, table II.
    """
    most = 2 ** (bits - 1) - 1
    size, axes = ops.abs(kernel), tuple(range(len(kernel.shape) - 1))
    count = ops.sum(ops.cast(size > 0, "float32"), axis=axes)  # a pruned kernel's zeros do not
    typical = STEPS[bits] * ops.sum(size, axis=axes) / ops.maximum(count, 1.0)
    step = ops.minimum(typical, ops.max(size, axis=axes) / most)
    step = ops.maximum(step, 1e-12)  # a channel of zeros
    return ops.clip(ops.round(kernel / step), -most, most) * step
