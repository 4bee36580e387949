"""AlexNet, the convolutional part."""

from __future__ import annotations

import keras
from keras import layers


def body(x: keras.KerasTensor) -> keras.KerasTensor:
    """Five convolutions, three of them followed by overlapping pooling.

    Two departures from the paper: convolutions are not split over two GPUs, and batch normalisation stands where the
    paper normalises over neighbouring channels, an operation that phones do not have.

    Args:
        x: float32 (B, H, W, C), normalised; H and W at least 67.

    Returns:
        (B, h, w, 256), 6x6 for 227x227 pixels.

    Source: Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional networks, 2012, section 3.5.
    """
    x = layers.Conv2D(96, 11, strides=4, activation="relu", name="conv1")(x)
    x = layers.BatchNormalization(name="norm1")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    x = layers.Conv2D(256, 5, padding="same", activation="relu", name="conv2")(x)
    x = layers.BatchNormalization(name="norm2")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool2")(x)
    for i, filters in enumerate((384, 384, 256), start=3):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{i}")(x)
    return layers.MaxPooling2D(3, strides=2, name="pool5")(x)
