"""Image -> boxes, each of a class."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfmap import average_precision, detections, windows
from tfmap.average_precision import Found
from tfmap.checked import checked
from tfmap.errors import InputError
from tfmap.pipeline.fit import stretch
from tfmap.sheets import Picture
from tfmap.source import Boxes
from tfmap.tasks import assembly
from tfmap.tasks.detectors import losses as terms
from tfmap.tasks.detectors.found import LISTED, OVERLAP, finished, listed, moved
from tfmap.tasks.detectors.metric import AveragePrecision

Size = tuple[int, int]
OUTPUTS = {"boxes": ("B", "A", 4), "scores": ("B", "A", "K")}
ARCHITECTURES = ("tfmap_det", "yolo", "retinanet", "ssd", "faster_rcnn")
SHOWN = 0.3  # least score of a box that people are shown, unless they say otherwise
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
        example: "image" uint8 (h, w, C), "boxes" float32 (n, 4), yxyx in its pixels, and "whole" int32 (2,); masks are
            left out.
        size: (height, width) in pixels.

    Returns:
        dict: "image" uint8 (height, width, C), "boxes" in its pixels, where there are any, and "whole" as it is.
    """
    return stretch({key: example[key] for key in ("image", "boxes", "whole") if key in example}, size)


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
    return assembly.detector(arch, backbone, classes, width, input_shape=tuple(input_shape), weights=weights)


def losses(
    kind: str = "cross_entropy", *, model: keras.Model, gamma: float = 2.0, box_weight: float | None = None
) -> Callable[[Any, Any], Any]:
    """The loss of each picture, from what is there and the model's outputs: that of the model's architecture.

    The layer "boxes" knows the architecture, so that a model that was saved, renamed or rebuilt layer by layer still
    learns as it should: this calls `loss` of the module in `detectors` that it names. What a loss reads besides the
    outputs, such as the distributions of yolo, it says itself; see `tfmap.tasks.taught`.

    Args:
        kind: of the scores: "cross_entropy" is the architecture's own, which in retinanet is focal already; "focal"
            turns to the scores that are far off.
        model: what `build` returned.
        gamma: how strongly "focal" does so.
        box_weight: of boxes beside scores; null takes the architecture's own.

    Returns:
        function (targets, outputs) -> float32 (B,).

    Raises:
        InputError: an unknown kind, or a model that `build` did not make.
    """
    if kind not in ("cross_entropy", "focal"):
        raise InputError(f"train.loss must be cross_entropy or focal in detection, received {kind!r}.")
    named = {layer.name: getattr(layer, "arch", None) for layer in model.layers}
    if named.get("boxes") is None:
        raise InputError(
            f"train: the loss of a detector is known by its layer 'boxes', which {model.name} does not have. Build the "
            "model with tfmap.tasks.detection.build, or train it with a loss of your own."
        )
    module = importlib.import_module(f"tfmap.tasks.detectors.{named['boxes']}")
    own = {} if box_weight is None else {"box_weight": box_weight}
    return module.loss(model, gamma=gamma if kind == "focal" else 0.0, **own)


def imitation(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Any:
    """How far a model's outputs are from a teacher's, float32 (B,); see `detectors.losses.imitation`."""
    return terms.imitation(theirs, ours)


def metrics(*, classes: int) -> list[keras.metrics.Metric]:
    """What the progress bar shows; the first one, as val_<name>, is what the best checkpoint is chosen by.

    Args:
        classes: number of classes K.
    """
    return [AveragePrecision(classes)]


def decode(
    outputs: Mapping[str, np.ndarray], *, size: tuple[int, int] | None = None, whole: np.ndarray | None = None
) -> list[Found]:
    """The boxes of each picture, without those that a better one of their class covers.

    Args:
        outputs: of a network "boxes" float32 (N, A, 4), yxyx in pixels, and "scores" float32 (N, A, K); or of a file
            what `tfmap.export.detectors.finished` says, which needs `size`.
        size: (height, width) of the model's input.
        whole: int (N, 2), heights and widths of the pictures themselves, into whose pixels boxes are brought; without
            them they stay in those of the input.

    Returns:
        Found per picture, best first.
    """
    if "count" in outputs:
        found = [listed(*parts, size) for parts in zip(*(outputs[key] for key in LISTED), strict=True)]
    else:
        found = [finished(*pair) for pair in zip(outputs["boxes"], outputs["scores"], strict=True)]
    if size is None or whole is None:
        return found
    return [moved(one, size, own) for one, own in zip(found, whole, strict=True)]


def whole(outputs: Mapping[str, np.ndarray], places: np.ndarray, window: Size, picture: Size) -> Found:
    """What is in a picture, from what a model says of its windows; see `tfmap.windows.gathered`.

    Args:
        outputs: as `decode` takes them, of N windows.
        places: int (N, 2), where they stand.
        window: (height, width) of a window, the model's input.
        picture: (height, width) of the picture.
    """
    return windows.gathered(decode(outputs, size=window), places, window, picture, overlap=OVERLAP)


def score(found: Sequence[Found], truths: Boxes, *, classes: Sequence[str]) -> dict[str, Any]:
    """Numbers that say how good predictions are.

    Args:
        found: of N pictures, in the pixels of the truths.
        truths: of the same pictures.
        classes: K names.

    Returns:
        dict: "examples" N, what `tfmap.average_precision.score` returns, "threshold" and "f1" (the least score at which
            boxes are best told from false alarms, and the mean F1 of the classes there) and "confusion_matrix" (K + 1
            x K + 1, see `tfmap.detections.confusion`) at that threshold.
    """
    threshold, f1 = detections.best_threshold(detections.curves(found, truths, classes))
    confusion = detections.confusion(found, truths, len(classes), threshold).tolist()
    found_by_coco = average_precision.score(found, truths, classes)
    return {"examples": len(found), **found_by_coco, "threshold": threshold, "f1": f1, "confusion_matrix": confusion}


def curves(found: Sequence[Found], truths: Boxes, *, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class; see `tfmap.detections.curves`. Arguments as for `score`."""
    return detections.curves(found, truths, classes)


def worst(found: Sequence[Found], truths: Boxes, *, ids: Sequence[str], classes: Sequence[str]) -> list[dict[str, Any]]:
    """The pictures with the most misses and false alarms, at the best threshold; see `tfmap.detections.worst`."""
    threshold, _ = detections.best_threshold(detections.curves(found, truths, classes))
    return detections.worst(found, truths, ids, classes, threshold)


def describe(found: Found, *, classes: Sequence[str], threshold: float = SHOWN) -> list[dict[str, Any]]:
    """Names, scores and places of what is in a picture.

    Args:
        found: in a picture.
        classes: K names.
        threshold: least score.

    Returns:
        list of {"label": str, "score": float, "box": [top, left, bottom, right]}, best first.
    """
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
    return [
        {"label": classes[kind], "score": score, "box": [round(edge, 1) for edge in box]}
        for box, score, kind in rows
        if score >= threshold
    ]


def alike(theirs: Sequence[Found], ours: Sequence[Found]) -> np.ndarray:
    """How many of two models' boxes lie on each other, as F1; of those with a score that people are shown.

    Args:
        theirs: of N pictures.
        ours: of the same pictures.

    Returns:
        float32 (N,), 0..1; 1 where neither finds anything.
    """
    return np.array([_agreement(*pair) for pair in zip(theirs, ours, strict=True)], np.float32)


def _agreement(theirs: Found, ours: Found) -> float:
    sure = theirs.scores >= SHOWN
    marks = np.zeros(sure.sum(), bool)
    truths = Boxes(np.array([0, sure.sum()]), theirs.boxes[sure], theirs.classes[sure], marks, marks)
    every = detections.judge([ours], truths, threshold=SHOWN)
    both = sure.sum() + len(every.scores)
    return float(2 * (every.truths >= 0).sum() / both) if both else 1.0


def drawn(image: np.ndarray, found: Found, *, classes: Sequence[str], threshold: float = SHOWN) -> Picture:
    """A picture with its boxes.

    Args:
        image: uint8 (h, w, C), in whose pixels the boxes are.
        found: in it.
        classes: K names.
        threshold: least score.
    """
    kept = found.scores >= threshold
    many = int(kept.sum())
    return Picture(
        image, "1 box" if many == 1 else f"{many} boxes", boxes=found.boxes[kept], classes=found.classes[kept]
    )
