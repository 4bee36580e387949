"""tfmap_det: a small detector for phones, without anchors to tune."""

from __future__ import annotations

import keras
from keras import layers

from tfmap.models import necks
from tfmap.tasks.detectors import heads

LEVELS = ("P3", "P4", "P5")


def head(body: keras.Model, classes: int, *, width: int = 96, depth: int = 2) -> keras.Model:
    """Put it on a backbone.

    Args:
        body: "image" (B, H, W, C) -> maps "P3" to "P5".
        classes: K.
        width: channels of neck and towers.
        depth: separable convolutions of each tower.

    Returns:
        keras.Model: "image" -> "boxes" float32 (B, A, 4), yxyx in pixels, and "scores" float32 (B, A, K), 0..1.

    Source: YOLOX (Ge et al., 2021) for codes and towers, TOOD (Feng et al., 2021) for what it is trained with; all of
        it in separable convolutions, as NanoDet has them.
    """
    maps = necks.pan(body.output, LEVELS, width)
    said = heads.decoupled(maps, classes, depth=depth)
    height, width = body.input_shape[1:3]
    strides = [height // x.shape[1] for x in maps.values()]
    found = heads.Boxes((height, width), strides, name="boxes")(said["codes"])
    scores = layers.Activation("sigmoid", dtype="float32", name="scores")(said["logits"])
    return keras.Model(body.input, {"boxes": found, "scores": scores}, name=f"tfmap_det_{body.name}")
