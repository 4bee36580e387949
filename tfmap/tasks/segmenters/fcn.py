"""fcn: scores at three strides, added up."""

from __future__ import annotations

import keras
from keras import layers

from tfmap.tasks.segmenters import parts


def head(body: keras.Model, classes: int, *, width: int = 64) -> keras.Model:
    """FCN-8s: what the highest map says, refined by the two below.

    Args:
        body: "image" -> maps "P3" to "P5".
        classes: K.
        width: not of the scores, which have K channels, but of the layer before them.

    Returns:
        keras.Model: see `parts.ended`.

    Source: Long, Shelhamer and Darrell, Fully Convolutional Networks for Semantic Segmentation, 2015, section 4.2.
    """
    x = parts.convolved(parts.level(body, "P5"), width, "top")
    x = layers.Conv2D(classes, 1, name="scores_P5")(x)
    for name in ("P4", "P3"):
        finer = parts.level(body, name)
        scores = layers.Conv2D(classes, 1, name=f"scores_{name}")(finer)
        x = layers.Add(name=f"with_{name}")([parts.enlarged(x, finer.shape[1:3], f"up_{name}"), scores])
    return parts.ended(body.input, x, classes, f"fcn_{body.name}")
