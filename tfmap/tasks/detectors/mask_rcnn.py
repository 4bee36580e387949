"""Mask R-CNN: Faster R-CNN, and of each of its boxes which pixels are the object's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers, ops

from tfmap.models import necks
from tfmap.tasks import taught
from tfmap.tasks.detectors import assign, faster_rcnn, heads, losses, regions

BINS, SIDE = 14, 28  # of a box along each side: what is looked at, and what is said
_CONVOLUTIONS = 4


def head(body: keras.Model, classes: int, *, width: int = 96, proposals: int = 100) -> keras.Model:
    """Put it on a backbone.

    Args:
        body: "image" (B, H, W, C) -> maps "P3" to "P5".
        classes: K.
        width: channels of the pyramid and of the masks' convolutions.
        proposals: A, boxes of a picture that get a second look.

    Returns:
        keras.Model: "image" -> "boxes" float32 (B, A, 4), yxyx in pixels, "scores" float32 (B, A, K), 0..1, and "masks"
            float32 (B, A, 28, 28), 0..1: of each box, cut into so many parts, how sure each belongs to the object.

    Raises:
        InputError: the backbone lacks a level, or its maps do not halve.

    Source: He et al., Mask R-CNN, 2017, section 3 and figure 4, right; masks are of no class (table 2b: 0.6 points of
        mask AP), their convolutions separable, and they are learnt in the boxes that the second stage says.
    """
    found = faster_rcnn.stages(body, classes, arch="mask_rcnn", width=width, proposals=proposals)
    strides = heads.strides(found.maps)
    x = regions.Align(BINS, strides, name="mask_align")([found.boxes, *found.maps.values()])
    x = regions.Regrouped((BINS, BINS, width), name="mask_regions")(x)
    for number in range(1, _CONVOLUTIONS + 1):
        x = necks.separable(x, width, f"mask_{number}")
    x = layers.Conv2DTranspose(width, 2, strides=2, activation="relu", name="mask_finer")(x)
    x = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="mask_pixels")(x)
    masks = regions.Regrouped((found.boxes.shape[1], SIDE, SIDE), dtype="float32", name="masks")(x)
    outputs = {"boxes": found.boxes, "scores": found.scores, "masks": masks}
    return keras.Model(body.input, outputs, name=f"mask_rcnn_{body.name}")


def loss(
    model: keras.Model, *, gamma: float = 0.0, box_weight: float = 2.0, mask_weight: float = 1.0
) -> Callable[[Any, Any], Any]:
    """That of `faster_rcnn`, and cross-entropy of the pixels in boxes that have an object.

    Args:
        model: what `head` returned.
        gamma: how strongly the loss turns to scores that are far off.
        box_weight: of the boxes beside the scores.
        mask_weight: of the pixels beside the scores.

    Returns:
        function (targets, outputs) -> float32 (B,), which reads the layers of the proposals as well; targets have
            "instances" int32 (B, H, W), too.

    Source: He et al., Mask R-CNN, 2017, section 3, L_mask.
    """
    boxes_and_scores = faster_rcnn.loss(model, gamma=gamma, box_weight=box_weight)

    @taught.reads(*boxes_and_scores.reads)
    def all_of_it(targets: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
        overlaps, many = faster_rcnn.SECOND.overlaps, outputs["scores"].shape[-1]
        truths = assign.by_overlap(outputs["proposals"], targets["boxes"], targets["classes"], many, overlaps=overlaps)
        shown = inside(targets["instances"], ops.stop_gradient(outputs["boxes"]), truths.rows)
        costs = ops.mean(losses.cross_entropy(shown, outputs["masks"]), axis=(2, 3))
        # An object that others hide, or that has no number, says nothing of its pixels.
        asked = truths.weight * ops.max(shown, axis=(2, 3))
        pixels = ops.sum(asked * costs, axis=-1) / ops.maximum(ops.sum(asked, axis=-1), 1.0)
        return boxes_and_scores(targets, outputs) + mask_weight * pixels

    return all_of_it


def inside(instances: Any, boxes: Any, rows: Any, *, side: int = SIDE) -> Any:
    """Which parts of boxes show an object, by the pixel in the middle of each.

    Args:
        instances: int32 (B, H, W), 1 + the row of the object that a pixel belongs to, 0 for none.
        boxes: float32 (B, A, 4), yxyx in pixels.
        rows: int32 (B, A), of the object that is asked for.
        side: parts along each side, S.

    Returns:
        float32 (B, A, S, S), 0 or 1.
    """
    height, width = instances.shape[1:3]
    shares = (ops.arange(side, dtype="float32") + 0.5) / side
    low, high = boxes[..., None, :2], boxes[..., None, 2:]
    places = ops.floor(low + (high - low) * shares[:, None])  # (B, A, S, 2)
    y = ops.cast(ops.clip(places[..., 0], 0, height - 1), "int32")
    x = ops.cast(ops.clip(places[..., 1], 0, width - 1), "int32")
    flat = ops.reshape(y[..., :, None] * width + x[..., None, :], (-1, boxes.shape[1] * side * side))
    numbers = ops.take_along_axis(ops.reshape(instances, (-1, height * width)), flat, axis=1)
    numbers = ops.reshape(numbers, (-1, boxes.shape[1], side, side))
    return ops.cast(ops.equal(numbers, rows[..., None, None] + 1), "float32")
