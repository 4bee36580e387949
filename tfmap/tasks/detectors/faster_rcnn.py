"""Faster R-CNN: first where something is, then what it is: a second look at each of the best proposals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from tfmap import boxes as geometry
from tfmap.models import necks
from tfmap.tasks import taught
from tfmap.tasks.detectors import anchors, assign, heads, losses, regions

PYRAMID = ("P3", "P4", "P5")
LEVELS = (*PYRAMID, "P6")
SHAPES = anchors.shapes((4.0,), (0.5, 1.0, 2.0))
BINS = 7


class Stages(NamedTuple):
    """What stands on a backbone.

    Attributes:
        maps: "P3" to "P5" -> (B, h, w, width), where regions are looked at.
        boxes: float32 (B, A, 4), yxyx in pixels.
        scores: float32 (B, A, K), 0..1.
    """

    maps: heads.Maps
    boxes: keras.KerasTensor
    scores: keras.KerasTensor


class Asked(NamedTuple):
    """Which boxes of a stage learn what.

    Attributes:
        overlaps: IoUs below and from which on a box has none and has an object.
        share: of those that have one in the loss of scores.
    """

    overlaps: tuple[float, float]
    share: float


FIRST, SECOND = Asked((0.3, 0.7), 0.5), Asked((0.5, 0.5), 0.25)


def head(body: keras.Model, classes: int, *, width: int = 96, proposals: int = 100) -> keras.Model:
    """Put it on a backbone.

    Args:
        body: "image" (B, H, W, C) -> maps "P3" to "P5".
        classes: K.
        width: channels of the pyramid; the second stage has four times as many.
        proposals: A, boxes of a picture that get a second look.

    Returns:
        keras.Model: "image" -> "boxes" float32 (B, A, 4), yxyx in pixels, and "scores" float32 (B, A, K), 0..1.

    Raises:
        InputError: the backbone lacks a level, or its maps do not halve.

    Source: Ren et al., Faster R-CNN, 2015, sections 3.1 and 3.2; Lin et al., Feature Pyramid Networks, 2017, section 4;
        boxes are of no class, as in Dai et al., R-FCN, 2016.
    """
    found = stages(body, classes, arch="faster_rcnn", width=width, proposals=proposals)
    outputs = {"boxes": found.boxes, "scores": found.scores}
    return keras.Model(body.input, outputs, name=f"faster_rcnn_{body.name}")


def stages(body: keras.Model, classes: int, *, arch: str, width: int, proposals: int) -> Stages:
    """Both of them.

    Args:
        body: as for `head`, like the others.
        arch: the architecture, by whose `loss` the model learns wherever it is loaded.
    """
    maps = necks.coarser(necks.fpn(body.output, PYRAMID, width), LEVELS, width)
    proposed = _proposed(body.input_shape[1:3], maps, proposals)
    pooled = regions.Align(BINS, heads.strides(PYRAMID), name="align")([proposed, *(maps[name] for name in PYRAMID)])
    x = layers.Reshape((-1, BINS * BINS * width), name="regions")(pooled)
    for number in (1, 2):
        x = layers.Dense(4 * width, use_bias=False, name=f"region_{number}")(x)
        # Not the paper's, but what keeps ReLUs alive at the learning rates of the rest.
        x = layers.ReLU(name=f"region_{number}_relu")(layers.BatchNormalization(name=f"region_{number}_bn")(x))
    codes = layers.Dense(4, activation="tanh", kernel_initializer="zeros", dtype="float32", name="codes")(x)
    logits = layers.Dense(classes, bias_initializer=keras.initializers.Constant(heads.RARE), name="logits")(x)
    boxes = regions.Refined(arch, name="boxes")([codes, proposed])
    scores = layers.Activation("sigmoid", dtype="float32", name="scores")(logits)
    return Stages({name: maps[name] for name in PYRAMID}, boxes, scores)


def _proposed(size: tuple[int, int], maps: heads.Maps, most: int) -> keras.KerasTensor:
    """The region proposal network: (B, most, 4), yxyx in pixels."""
    said = heads.decoupled(maps, 1, tower=heads.separables(1), each=len(SHAPES), side=0.0, prefix="proposal_")
    boxes = heads.Anchored(size, heads.strides(maps), SHAPES, name="proposal_boxes")(said["codes"])
    scores = layers.Activation("sigmoid", dtype="float32", name="proposal_scores")(said["logits"])
    return regions.Proposals(size, min(most, boxes.shape[1]), name="proposals")([boxes, scores])


def loss(model: keras.Model, *, gamma: float = 0.0, box_weight: float = 2.0) -> Callable[[Any, Any], Any]:
    """Of both stages: cross-entropy of scores, generalised IoU of boxes.

    Instead of drawing anchors the paper's shares of those that have an object are given to the means.

    Args:
        model: what `head` returned.
        gamma: how strongly the loss turns to scores that are far off.
        box_weight: of the boxes beside the scores.

    Returns:
        function (targets, outputs) -> float32 (B,), which reads the layers of the proposals as well.

    Source: Ren et al., section 3.1.2, where boxes have smooth L1; Girshick, Fast R-CNN, 2015, section 2.3.
    """
    places = ops.convert_to_tensor(model.get_layer("proposal_boxes").anchors)

    def stage(targets: Mapping[str, Any], said: tuple[Any, Any], anchors: Any, asked: Asked) -> Any:
        boxes, scores = said
        truths = assign.by_overlap(
            anchors, targets["boxes"], targets["classes"], scores.shape[-1], overlaps=asked.overlaps
        )
        costs = ops.sum(losses.focal(truths.scores, scores, gamma=gamma), axis=-1)
        what = losses.balanced(costs, truths.weight, truths.counts, share=asked.share)
        where = ops.sum(truths.weight * (1.0 - geometry.giou(boxes, truths.boxes)), axis=-1)
        return what + box_weight * where / ops.maximum(ops.sum(truths.weight, axis=-1), 1.0)

    @taught.reads("proposal_boxes", "proposal_scores", "proposals")
    def both(targets: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
        anything = {**targets, "classes": ops.minimum(targets["classes"], 0)}
        first = stage(anything, (outputs["proposal_boxes"], outputs["proposal_scores"]), places, FIRST)
        return first + stage(targets, (outputs["boxes"], outputs["scores"]), outputs["proposals"], SECOND)

    return both
