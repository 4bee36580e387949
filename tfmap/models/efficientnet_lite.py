"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation and with ReLU6, so that int8 loses little."""

from __future__ import annotations

import math

import keras
from keras import layers

# repeats, kernel, stride, expansion, filters
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def body(x: keras.KerasTensor, width: float, depth: float) -> keras.KerasTensor:
    """The stem, seven stages of inverted residuals, and the last 1x1 convolution.

    As against EfficientNet, stem and last convolution are not scaled, nor the depth of the first and last stage.
    Layer names are those of the published PyTorch weights.

    Args:
        x: float32 (B, H, W, C), normalised.
        width: factor on the filters of the stages.
        depth: factor on the repeats of the stages.

    Returns:
        (B, H / 32, W / 32, 1280).

    Source: Tan and Le, EfficientNet, 2019, table 1; Liu, Higher accuracy on vision models with EfficientNet-Lite, 2020.
    """
    x = layers.Conv2D(32, 3, 2, padding="same", use_bias=False, name="conv_stem")(x)
    x = _norm(x, "bn0")
    index = 0
    for i, (repeats, kernel, stride, expansion, filters) in enumerate(_STAGES):
        scaled = repeats if i in (0, len(_STAGES) - 1) else math.ceil(repeats * depth)
        for j in range(scaled):
            x = _block(x, f"blocks_{index}", (kernel, stride if j == 0 else 1), expansion, _scaled(filters, width))
            index += 1
    x = layers.Conv2D(1280, 1, use_bias=False, name="conv_head")(x)
    return _norm(x, "bn1")


def _block(
    x: keras.KerasTensor, name: str, kernel_stride: tuple[int, int], expansion: int, filters: int
) -> keras.KerasTensor:
    """Expand, filter each channel, project; a shortcut where the shape stays."""
    before, (kernel, stride) = x, kernel_stride
    if expansion != 1:
        x = layers.Conv2D(x.shape[-1] * expansion, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _norm(x, f"{name}_bn0")
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(x)
    x = _norm(x, f"{name}_bn1")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_bn2")(x)
    if stride == 1 and before.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([x, before])
    return x


def _norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=name)(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _scaled(filters: int, width: float) -> int:
    """The nearest multiple of 8, not more than 10% below the wanted number."""
    wanted = filters * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded
