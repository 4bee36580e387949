"""SSDLite: boxes straight from maps of falling size, the cheapest of detectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfmap import boxes as geometry
from tfmap.models import necks
from tfmap.tasks.detectors import anchors, heads, losses
from tfmap.tasks.detectors.assign import Matched

LEVELS = ("P4", "P5", "P6", "P7")
SCALE = 3.0  # the smallest square is 48 pixels wide; SSDLite at 320 pixels begins with 64
SHAPES = anchors.shapes((SCALE,), (1.0, 2.0, 1 / 2, 3.0, 1 / 3)) + anchors.shapes((SCALE * math.sqrt(2),), (1.0,))
OVERLAPS = (0.5, 0.5)


def head(body: keras.Model, classes: int, *, width: int = 96) -> keras.Model:
    """Put it on a backbone.

    Args:
        body: "image" (B, H, W, C) -> maps "P4" and "P5".
        classes: K.
        width: channels of the maps that are made on top, "P6" and "P7".

    Returns:
        keras.Model: "image" -> "boxes" float32 (B, A, 4), yxyx in pixels, and "scores" float32 (B, A, K), 0..1.

    Raises:
        InputError: the backbone lacks a level.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, 2016, section 2.2, for anchors: five ratios and a square
        between two levels' scales; Sandler et al., MobileNetV2, 2018, section 6.2, for its separable heads, SSDLite.
    """
    maps = necks.coarser(body.output, LEVELS, width)
    said = heads.decoupled(maps, classes, tower=necks.depthwise, each=len(SHAPES), side=0.0)
    return heads.detector(body, maps, said, arch="ssd", shapes=SHAPES)


def loss(model: keras.Model, *, gamma: float = 0.0, box_weight: float = 1.0) -> Callable[[Any, Any], Any]:
    """Cross-entropy of anchors that have an object and of three times as many others, the worst; smooth L1 of codes.

    Args:
        model: what `head` returned.
        gamma: above 0 all anchors count, the more the farther off their scores are, instead of the worst ones.
        box_weight: of the boxes beside the scores.

    Returns:
        function as that of `losses.matched`.

    Source: SSD, section 2.2, with independent classes instead of a softmax over them and the background.
    """
    places = ops.convert_to_tensor(model.get_layer("boxes").anchors)

    def what(truths: Matched, scores: Any) -> Any:
        costs = ops.sum(losses.focal(truths.scores, scores, gamma=gamma), axis=-1)
        asked = 1.0 if gamma else truths.weight + losses.hardest(costs, truths.weight)
        return ops.sum(asked * costs, axis=-1)

    def where(found: Any, truths: Any) -> Any:
        off = geometry.encode(found, places) - geometry.encode(truths, places)
        return ops.sum(losses.smooth_l1(off), axis=-1)

    return losses.matched(places, overlaps=OVERLAPS, what=what, where=where, box_weight=box_weight)
