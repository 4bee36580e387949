"""MobileNetV4-Conv-Small: universal inverted bottlenecks, ReLU only, made for every phone accelerator."""

from __future__ import annotations

import keras
from keras import layers

# (filters, kernel, stride) of plain convolutions; (filters, first depthwise, second depthwise, stride, expansion) of
# universal inverted bottlenecks, 0 where there is no such depthwise convolution.
_STAGES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((32, 3, 2),),
    ((32, 3, 2), (32, 1, 1)),
    ((96, 3, 2), (64, 1, 1)),
    ((96, 5, 5, 2, 3), *((96, 0, 3, 1, 2),) * 4, (96, 3, 0, 1, 4)),
    ((128, 3, 3, 2, 6), (128, 5, 5, 1, 4), (128, 0, 5, 1, 4), (128, 0, 5, 1, 3), *((128, 0, 3, 1, 4),) * 2),
    ((960, 1, 1),),
)


def body(x: keras.KerasTensor) -> keras.KerasTensor:
    """The stages of the table, up to the 960-channel convolution before pooling.

    Args:
        x: float32 (B, H, W, C), normalised.

    Returns:
        (B, H / 32, W / 32, 960).

    Source: Qin et al., MobileNetV4: Universal models for the mobile ecosystem, 2024, appendix, table of MNv4-Conv-S.
    """
    for i, stage in enumerate(_STAGES):
        for j, block in enumerate(stage):
            x = (_plain if len(block) == 3 else _bottleneck)(x, f"stage{i}_block{j}", *block)
    return x


def _plain(x: keras.KerasTensor, name: str, filters: int, kernel: int, stride: int) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return _norm(x, name, relu=True)


def _bottleneck(
    x: keras.KerasTensor, name: str, filters: int, first: int, second: int, stride: int, expansion: int
) -> keras.KerasTensor:
    """Optional depthwise, expand, optional depthwise, project. The second depthwise strides where there is one."""
    before = x
    if first:
        x = _depthwise(x, f"{name}_first", first, 1 if second else stride, relu=False)
    x = layers.Conv2D(before.shape[-1] * expansion, 1, use_bias=False, name=f"{name}_expand_conv")(x)
    x = _norm(x, f"{name}_expand", relu=True)
    if second:
        x = _depthwise(x, f"{name}_second", second, stride, relu=True)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _norm(x, f"{name}_project", relu=False)
    if stride == 1 and before.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([x, before])
    return x


def _depthwise(x: keras.KerasTensor, name: str, kernel: int, stride: int, relu: bool) -> keras.KerasTensor:
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    return _norm(x, name, relu)


def _norm(x: keras.KerasTensor, name: str, relu: bool) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x
