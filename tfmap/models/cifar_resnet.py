"""Residual networks for pictures of about 32x32 pixels."""

from __future__ import annotations

import keras
from keras import layers


def body(x: keras.KerasTensor, widths: tuple[int, ...], blocks: tuple[int, ...]) -> keras.KerasTensor:
    """A 3x3 stem at full resolution, then one stage per width; each stage but the first halves the map.

    Where a stage begins, a 1x1 convolution carries the shortcut (option B of the paper): its option A, strided slicing
    and zero channels, costs as much on a phone and cannot be pruned or quantised by layer.

    Args:
        x: float32 (B, H, W, C), normalised.
        widths: channels per stage.
        blocks: residual blocks of two convolutions per stage, as many numbers as widths.

    Returns:
        (B, H / 4, W / 4, widths[-1]) for three stages.

    Source: He et al., Deep residual learning for image recognition, 2016, section 4.2 (ResNet-20: widths 16, 32, 64,
    three blocks); Banbury et al., MLPerf Tiny benchmark, 2021 (ResNet-8: one block).
    """
    x = _conv(x, widths[0], 3, 1, "stem")
    x = layers.ReLU(name="stem_relu")(x)
    for i, (width, count) in enumerate(zip(widths, blocks, strict=True), start=1):
        for j in range(1, count + 1):
            x = _block(x, width, 2 if i > 1 and j == 1 else 1, f"stage{i}_block{j}")
    return x


def _block(x: keras.KerasTensor, width: int, stride: int, name: str) -> keras.KerasTensor:
    shortcut = x
    if stride != 1:
        shortcut = layers.Conv2D(
            width, 1, stride, padding="same", kernel_initializer="he_normal", name=f"{name}_short"
        )(x)
    x = _conv(x, width, 3, stride, f"{name}_a")
    x = layers.ReLU(name=f"{name}_a_relu")(x)
    x = _conv(x, width, 3, 1, f"{name}_b")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_out")(x)


def _conv(x: keras.KerasTensor, width: int, kernel: int, stride: int, name: str) -> keras.KerasTensor:
    # MLPerf Tiny's convolutions have a bias before the normalisation; kept so that its weights fit. It folds away.
    x = layers.Conv2D(width, kernel, stride, padding="same", kernel_initializer="he_normal", name=f"{name}_conv")(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)
