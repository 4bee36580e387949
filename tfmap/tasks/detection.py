"""Image -> boxes, each of a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfmap import average_precision
from tfmap.average_precision import Found
from tfmap.boxes import suppress
from tfmap.checked import checked
from tfmap.errors import InputError
from tfmap.pipeline.fit import stretch
from tfmap.source import Boxes
from tfmap.tasks import assembly
from tfmap.tasks.detectors.losses import one_stage
from tfmap.tasks.detectors.metric import AveragePrecision

OUTPUTS = {"boxes": ("B", "A", 4), "scores": ("B", "A", "K")}
ARCHITECTURES = ("tfmap_det",)
LEAST_SIDE = 1.0  # pixels of the model's input: thinner boxes teach nothing


def spec(
    *, classes: int, size: tuple[int, int], channels: int = 3, batch_size: int | None = None, most: int | None = None
) -> dict[str, tf.TensorSpec]:
    """Shapes and dtypes of a training batch.

    Args:
        classes: number of classes K.
        size: (height, width) in pixels.
        channels: 3 or 1.
        batch_size: B, or None where it is open.
        most: N, the boxes of a picture, or None where it is open.
    """
    return {
        "image": tf.TensorSpec((batch_size, *size, channels), tf.uint8),
        "boxes": tf.TensorSpec((batch_size, most, 4), tf.float32),
        "classes": tf.TensorSpec((batch_size, most), tf.int32),
        "weight": tf.TensorSpec((batch_size,), tf.float32),
    }


def prepare(example: Mapping[str, tf.Tensor], size: tuple[int, int]) -> dict[str, tf.Tensor]:
    """Resize a whole picture to the model's input, the aspect ratio not kept, as detectors on phones do it.

    Args:
        example: "image" uint8 (h, w, C) and "boxes" float32 (n, 4), yxyx in its pixels; masks are left out.
        size: (height, width) in pixels.

    Returns:
        dict: "image" uint8 (height, width, C), and "boxes" in its pixels, where there are any.
    """
    return stretch({key: example[key] for key in ("image", "boxes") if key in example}, size)


def targets(batch: Mapping[str, Any], *, classes: int) -> dict[str, Any]:
    """What is there. Which place answers for what is said by the loss, which knows what the network says.

    Args:
        batch: an augmented batch.
        classes: number of classes K.

    Returns:
        dict: "boxes" float32 (B, N, 4), yxyx in pixels; "classes" int32 (B, N), -1 where there is none or it has hardly
            an area.
    """
    boxes = ops.cast(batch["boxes"], "float32")
    sides = boxes[..., 2:] - boxes[..., :2]
    there = ops.min(sides, axis=-1) >= LEAST_SIDE
    return {"boxes": boxes, "classes": ops.where(there, ops.cast(batch["classes"], "int32"), -1)}


@checked("model")
def build(
    arch: str = "tfmap_det",
    backbone: str = "mobilenet_v3_large",
    *,
    classes: int,
    input_shape: tuple[int, int, int] = (320, 320, 3),
    weights: str | None = "imagenet",
    width: int = 96,
) -> keras.Model:
    """An object detector: an ordinary Keras 3 functional model.

    Args:
        arch: one of ARCHITECTURES.
        backbone: one of `tfmap.models.names()` that has feature maps P3 to P5, such as mobilenet_v3_large.
        classes: number of classes K, at least 1.
        input_shape: (height, width, channels) in pixels, multiples of 32.
        weights: "imagenet", a path to a weights file of this backbone, or null for random ones.
        width: channels of what stands on the backbone.

    Returns:
        keras.Model: input "image" float32 (B, H, W, C), values 0..255; outputs "boxes" float32 (B, A, 4), yxyx in
            pixels of the input, and "scores" float32 (B, A, K), 0..1 for each class by itself.

    Raises:
        InputError: an unknown architecture or backbone, weights that are not there, or arguments out of range.
    """
    assembly.check(arch, ARCHITECTURES, width=width, usual="64 to 128")
    if classes < 1:
        raise InputError(f"model: classes must be a whole number of at least 1, received {classes!r}.")
    body = {"input_shape": tuple(input_shape), "weights": weights}
    return assembly.assemble(f"detectors.{arch}", backbone, classes, width, **body)


def losses(
    kind: str = "cross_entropy", *, model: keras.Model, gamma: float = 2.0, box_weight: float = 7.5
) -> Callable[[Any, Any], Any]:
    """The loss of each picture, from what is there and the model's outputs; see `detectors.losses.one_stage`.

    Args:
        kind: of the scores: "cross_entropy", or "focal", which turns to the scores that are far off.
        model: what `build` returned.
        gamma: how strongly "focal" does so.
        box_weight: of boxes beside scores.

    Returns:
        function (targets, outputs) -> float32 (B,).

    Raises:
        InputError: an unknown kind.
    """
    if kind not in ("cross_entropy", "focal"):
        raise InputError(f"train.loss must be cross_entropy or focal in detection, received {kind!r}.")
    anchors = ops.convert_to_tensor(model.get_layer("boxes").anchors)
    return one_stage(anchors, box_weight=box_weight, gamma=gamma if kind == "focal" else 0.0)


def metrics(*, classes: int) -> list[keras.metrics.Metric]:
    """What the progress bar shows; the first one, as val_<name>, is what the best checkpoint is chosen by.

    Args:
        classes: number of classes K.
    """
    return [AveragePrecision(classes)]


def decode(
    outputs: Mapping[str, np.ndarray], *, threshold: float = 0.01, overlap: float = 0.6, most: int = 100
) -> list[Found]:
    """The boxes of each picture, without those that a better one of their class covers.

    Args:
        outputs: "boxes" float32 (N, A, 4), yxyx in pixels, and "scores" float32 (N, A, K).
        threshold: least score.
        overlap: IoU with a better box of the class from which on a box goes.
        most: boxes of a picture at most.

    Returns:
        Found per picture, best first.
    """
    return [_found(*pair, threshold, overlap, most) for pair in zip(outputs["boxes"], outputs["scores"], strict=True)]


def _found(boxes: np.ndarray, scores: np.ndarray, threshold: float, overlap: float, most: int) -> Found:
    places, kinds = np.nonzero(scores >= threshold)
    values = scores[places, kinds]
    # Classes far from each other, so that none suppresses another one's boxes.
    reach = float(np.ptp(boxes)) + 1 if len(boxes) else 1.0
    kept = suppress(boxes[places] + reach * kinds[:, None], values, threshold=overlap, most=most)
    return Found(boxes[places[kept]], values[kept], kinds[kept].astype(np.int32))


def score(found: Sequence[Found], truths: Boxes, *, classes: Sequence[str]) -> dict[str, Any]:
    """Numbers that say how good predictions are; see `tfmap.average_precision.score`.

    Args:
        found: of N pictures, in the pixels of the truths.
        truths: of the same pictures.
        classes: K names.
    """
    return average_precision.score(found, truths, classes)
