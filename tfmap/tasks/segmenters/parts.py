"""What the segmenters share: convolutions, enlargement, and the layer at the end."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from tfmap.errors import InputError

Map = keras.KerasTensor


def convolved(x: Map, width: int, name: str, *, kernel: int = 3, dilation: int = 1) -> Map:
    """Convolution, norm, ReLU; the size stays.

    Args:
        x: (B, h, w, C).
        width: channels that come out.
        name: of its layers' beginning.
        kernel: its side.
        dilation: places between the kernel's weights.
    """
    x = layers.Conv2D(
        width, kernel, padding="same", dilation_rate=dilation, use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))


def enlarged(x: Map, size: Sequence[int], name: str) -> Map:
    """Bilinear, pixels at their centres, so that nothing moves and borders are not stretched; whatever the sizes.

    Args:
        x: (B, h, w, C).
        size: height and width, or those of a map's shape.
        name: of the layer.
    """
    height, width = size
    if tuple(x.shape[1:3]) == (height, width):
        return x
    return layers.Resizing(height, width, interpolation="bilinear", name=name)(x)


def ended(image: Map, x: Map, classes: int, name: str) -> keras.Model:
    """A score for every class at every pixel of the picture.

    Args:
        image: the model's input (B, H, W, C).
        x: (B, h, w, C), the last map.
        classes: K.
        name: of the model.

    Returns:
        keras.Model: "image" -> float32 (B, H, W, K), 0..1, of sum 1.
    """
    x = layers.Conv2D(classes, 1, name="scores_conv")(x)
    x = layers.Activation("linear", dtype="float32", name="small_logits")(x)
    x = enlarged(x, image.shape[1:3], "logits")
    return keras.Model(image, layers.Softmax(dtype="float32", name="probabilities")(x), name=name)


def level(body: keras.Model, *names: str) -> Map:
    """The first of these feature maps that a backbone has.

    Raises:
        InputError: it has none of them.
    """
    found = next((body.output[name] for name in names if name in body.output), None)
    if found is None:
        raise InputError(
            f"model: this segmenter reads {' or '.join(names)}; {body.name} has {', '.join(body.output)}. Take another "
            "backbone (see docs/backbones.md)."
        )
    return found
