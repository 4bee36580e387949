"""unet: down the backbone and up again, each step with what was seen on the way down."""

from __future__ import annotations

import keras
from keras import layers

from tfmap.tasks.segmenters import parts


def head(body: keras.Model, classes: int, *, width: int = 64) -> keras.Model:
    """U-Net on a backbone, to the full size of the picture: thin lines are not blurred.

    Args:
        body: "image" -> maps; its first layer that reads the picture is its normalisation.
        classes: K.
        width: channels of the finest backbone map's step; half of it, and a quarter, at strides 2 and 1.

    Returns:
        keras.Model: see `parts.ended`.

    Source: Ronneberger, Fischer and Brox, U-Net, 2015, section 2; padded, with bilinear steps and norms.
    """
    maps = list(body.output.items())
    x = maps[-1][1]
    for index, (name, skip) in reversed(list(enumerate(maps[:-1]))):
        x = _step(x, skip, width * 2**index, name)
    for name, skip, channels in _fine(body.get_layer("normalisation").output, width):
        x = _step(x, skip, channels, name)
    return parts.ended(body.input, x, classes, f"unet_{body.name}")


def _step(x: parts.Map, skip: parts.Map, width: int, name: str) -> parts.Map:
    x = parts.enlarged(x, skip.shape[1:3], f"up_{name}")
    x = layers.Concatenate(name=f"with_{name}")([x, skip])
    return parts.convolved(parts.convolved(x, width, f"up_{name}_1"), width, f"up_{name}_2")


def _fine(picture: parts.Map, width: int) -> list[tuple[str, parts.Map, int]]:
    """Maps of strides 2 and 1, which backbones do not give: two convolutions on the picture itself."""
    full = parts.convolved(picture, max(width // 4, 8), "full")
    half = parts.convolved(layers.MaxPooling2D(name="half_pool")(full), max(width // 2, 8), "half")
    return [("half", half, max(width // 2, 8)), ("full", full, max(width // 4, 8))]
