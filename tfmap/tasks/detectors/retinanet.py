"""RetinaNet: nine anchors at each place of a pyramid, and a loss that looks past the many that are easy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfmap import boxes as geometry
from tfmap.models import necks
from tfmap.tasks.detectors import anchors, heads, losses
from tfmap.tasks.detectors.assign import Matched

PYRAMID = ("P3", "P4", "P5")
LEVELS = (*PYRAMID, "P6", "P7")
SHAPES = anchors.shapes((4.0, 4 * 2 ** (1 / 3), 4 * 2 ** (2 / 3)), (0.5, 1.0, 2.0))
ALPHA, GAMMA = 0.25, 2.0
OVERLAPS = (0.4, 0.5)


def head(body: keras.Model, classes: int, *, width: int = 96, depth: int = 4) -> keras.Model:
    """Put it on a backbone.

    Towers are of separable convolutions, and each level has its own instead of one for all: a layer that is called once
    is what pruning and quantisation can follow.

    Args:
        body: "image" (B, H, W, C) -> maps "P3" to "P5".
        classes: K.
        width: channels of pyramid and towers.
        depth: separable convolutions of each tower.

    Returns:
        keras.Model: "image" -> "boxes" float32 (B, A, 4), yxyx in pixels, and "scores" float32 (B, A, K), 0..1.

    Raises:
        InputError: the backbone lacks a level.

    Source: Lin et al., Focal Loss for Dense Object Detection, 2017, section 4: P3 to P7, three scales and three ratios.
    """
    maps = necks.coarser(necks.fpn(body.output, PYRAMID, width), LEVELS, width)
    said = heads.decoupled(maps, classes, tower=heads.separables(depth), each=len(SHAPES), side=0.0)
    return heads.detector(body, maps, said, arch="retinanet", shapes=SHAPES)


def loss(model: keras.Model, *, gamma: float = 0.0, box_weight: float = 2.0) -> Callable[[Any, Any], Any]:
    """Focal loss of scores, generalised IoU of boxes; anchors of an IoU from 0.4 to 0.5 are not asked.

    Args:
        model: what `head` returned.
        gamma: how strongly the loss turns to scores that are far off; 0 takes the paper's 2.
        box_weight: of the boxes beside the scores.

    Returns:
        function as that of `losses.matched`.

    Source: the same, sections 3.2 and 4.1, where boxes have smooth L1; Rezatofighi et al., Generalized Intersection
        over Union, 2019, for boxes.
    """

    def what(truths: Matched, scores: Any) -> Any:
        costs = losses.focal(truths.scores, scores, gamma=gamma or GAMMA, alpha=ALPHA)
        return ops.sum(truths.counts[..., None] * costs, axis=(1, 2))

    return losses.matched(
        ops.convert_to_tensor(model.get_layer("boxes").anchors),
        overlaps=OVERLAPS,
        what=what,
        where=lambda found, truths: 1.0 - geometry.giou(found, truths),
        box_weight=box_weight,
    )
