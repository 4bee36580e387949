"""tfmap_det: a small detector for phones, without anchors to tune."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfmap.models import necks
from tfmap.tasks.detectors import heads
from tfmap.tasks.detectors.losses import one_stage

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
    said = heads.decoupled(maps, classes, tower=heads.separables(depth))
    return heads.detector(body, maps, said, arch="tfmap_det")


def loss(model: keras.Model, *, gamma: float = 0.0, box_weight: float = 7.5) -> Callable[[Any, Any], Any]:
    """See `losses.one_stage`. Args: model: what `head` returned."""
    anchors = ops.convert_to_tensor(model.get_layer("boxes").anchors)
    return one_stage(anchors, box_weight=box_weight, gamma=gamma)
