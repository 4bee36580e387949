"""LeNet-5, the convolutional part."""

from __future__ import annotations

import keras
from keras import layers


def body(x: keras.KerasTensor) -> keras.KerasTensor:
    """Two convolutions with average pooling, then C5.

    C1 pads its input: on a 28x28 picture that is the paper's 28x28 digit centred in 32x32, so C5 gives a 1x1 map. C3
    sees all six maps of S2 (the paper wires a part of them by hand, to save work in 1998).

    Args:
        x: float32 (B, H, W, C), normalised.

    Returns:
        (B, H / 4 - 6, W / 4 - 6, 120).

    Source: LeCun et al., Gradient-based learning applied to document recognition, 1998, section II.B.
    """
    x = layers.Conv2D(6, 5, padding="same", activation="tanh", name="c1")(x)
    x = layers.AveragePooling2D(2, name="s2")(x)
    x = layers.Conv2D(16, 5, activation="tanh", name="c3")(x)
    x = layers.AveragePooling2D(2, name="s4")(x)
    return layers.Conv2D(120, 5, activation="tanh", name="c5")(x)
