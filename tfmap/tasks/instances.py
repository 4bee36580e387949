"""Image -> objects, each of a class, with its box and its pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfmap import instances, sheets, windows
from tfmap.average_precision import Found
from tfmap.checked import checked
from tfmap.instances import Truths
from tfmap.pipeline.fit import stretch
from tfmap.sheets import Picture
from tfmap.tasks import assembly, detection
from tfmap.tasks.detection import SHOWN
from tfmap.tasks.detectors.found import OVERLAP, finished, moved

Size = tuple[int, int]
OUTPUTS = {"boxes": ("B", "A", 4), "scores": ("B", "A", "K"), "masks": ("B", "A", "S", "S")}
ARCHITECTURES = ("mask_rcnn",)


def spec(
    *, classes: int, size: Size, channels: int = 3, batch_size: int | None = None, most: int | None = None
) -> dict[str, tf.TensorSpec]:
    """Shapes and dtypes of a training batch; arguments as of `tfmap.tasks.detection.spec`."""
    boxes = detection.spec(classes=classes, size=size, channels=channels, batch_size=batch_size, most=most)
    return {**boxes, "instances": tf.TensorSpec((batch_size, *size), tf.int32)}


def prepare(example: Mapping[str, tf.Tensor], size: Size) -> dict[str, tf.Tensor]:
    """Resize a whole picture to the model's input, the aspect ratio not kept, as detectors on phones do it.

    Args:
        example: "image" uint8 (h, w, C), "boxes" float32 (n, 4), yxyx in its pixels, "instances" uint8 (a, b), as fine
            or finer, and "whole" int32 (2,).
        size: (height, width) in pixels.

    Returns:
        dict: "image" uint8 (height, width, C), "boxes" in its pixels and "instances" uint8 (height, width), where there
            are any, and "whole" as it is.
    """
    kept = ("image", "boxes", "instances", "whole")
    return stretch({key: example[key] for key in kept if key in example}, size)


def targets(batch: Mapping[str, Any], *, classes: int) -> dict[str, Any]:
    """What is there.

    Args:
        batch: an augmented batch.
        classes: number of classes K.

    Returns:
        dict: "boxes" and "classes" as of `tfmap.tasks.detection.targets`; "instances" int32 (B, H, W), 1 + the row of
            the object that a pixel belongs to, 0 for none.
    """
    return {**detection.targets(batch, classes=classes), "instances": ops.cast(batch["instances"], "int32")}


@checked("model")
def build(
    arch: str = "mask_rcnn",
    backbone: str = "mobilenet_v3_large",
    *,
    classes: int,
    input_shape: tuple[int, int, int] = (320, 320, 3),
    weights: str | None = "imagenet",
    width: int = 96,
) -> keras.Model:
    """A network that finds objects and their pixels: an ordinary Keras 3 functional model.

    Args:
        arch: one of ARCHITECTURES.
        backbone: one of `tfmap.models.names()` that has feature maps P3 to P5, such as mobilenet_v3_large.
        classes: number of classes K, at least 1.
        input_shape: (height, width, channels) in pixels, multiples of 32.
        weights: "imagenet", a path to a weights file of this backbone, or null for random ones.
        width: channels of what stands on the backbone.

    Returns:
        keras.Model: input "image" float32 (B, H, W, C), values 0..255; outputs "boxes" float32 (B, A, 4), yxyx in
            pixels of the input, "scores" float32 (B, A, K), 0..1 for each class by itself, and "masks" float32
            (B, A, S, S), 0..1: of each box, cut into S x S parts, how sure each belongs to the object.

    Raises:
        InputError: an unknown architecture or backbone, weights that are not there, or arguments out of range.
    """
    assembly.check(arch, ARCHITECTURES, width=width, usual="64 to 128")
    return assembly.detector(arch, backbone, classes, width, input_shape=tuple(input_shape), weights=weights)


def losses(
    kind: str = "cross_entropy", *, model: keras.Model, gamma: float = 2.0, box_weight: float | None = None
) -> Callable[[Any, Any], Any]:
    """The loss of each picture; see `tfmap.tasks.detection.losses`: the layer "boxes" knows the architecture."""
    return detection.losses(kind, model=model, gamma=gamma, box_weight=box_weight)


def imitation(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Any:
    """How far a model's boxes are from a teacher's of the same places, float32 (B,)."""
    return detection.imitation(theirs, ours)


def metrics(*, classes: int) -> list[keras.metrics.Metric]:
    """What the progress bar shows, by boxes; the first one, as val_<name>, chooses the best checkpoint.

    Args:
        classes: number of classes K.
    """
    return detection.metrics(classes=classes)


def decode(outputs: Mapping[str, np.ndarray], *, size: Size, whole: np.ndarray | None = None) -> list[Found]:
    """The objects of each picture, without those whose box a better one of their class covers.

    Args:
        outputs: "boxes" float32 (N, A, 4), yxyx in pixels, "scores" float32 (N, A, K) and "masks" float32 (N, A, S, S).
        size: (height, width) of the model's input.
        whole: int (N, 2), heights and widths of the pictures themselves, into whose pixels objects are brought; without
            them they stay in those of the input.

    Returns:
        Found per picture, best first, `masks` as run lengths.
    """
    found = _finished(outputs)
    if whole is None:
        return [instances.outlined(one, size) for one in found]
    return [
        instances.outlined(moved(one, size, own), tuple(map(int, own))) for one, own in zip(found, whole, strict=True)
    ]


def _finished(outputs: Mapping[str, np.ndarray]) -> list[Found]:
    return [finished(*three) for three in zip(*(outputs[name] for name in OUTPUTS), strict=True)]


def whole(outputs: Mapping[str, np.ndarray], places: np.ndarray, window: Size, picture: Size) -> Found:
    """What is in a picture, from what a model says of its windows; see `tfmap.windows.gathered`.

    Args:
        outputs: as `decode` takes them, of N windows.
        places: int (N, 2), where they stand.
        window: (height, width) of a window, the model's input.
        picture: (height, width) of the picture.
    """
    return instances.outlined(windows.gathered(_finished(outputs), places, window, picture, overlap=OVERLAP), picture)


def score(found: Sequence[Found], truths: Truths, *, classes: Sequence[str]) -> dict[str, Any]:
    """Numbers that say how good predictions are.

    Args:
        found: of N pictures, in the pixels of the truths.
        truths: of the same pictures.
        classes: K names.

    Returns:
        dict: "examples" N, what `tfmap.instances.score` returns, and of boxes "threshold", "f1" and "confusion_matrix"
            as in `tfmap.tasks.detection.score`.
    """
    boxes = detection.score([one._replace(masks=None) for one in found], truths.boxes, classes=classes)
    told = ("threshold", "f1", "confusion_matrix")
    return {
        "examples": len(found),
        **instances.score(found, truths, classes),
        **{name: boxes[name] for name in told},
    }


def curves(found: Sequence[Found], truths: Truths, *, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class by boxes; see `tfmap.detections.curves`. Arguments as for `score`."""
    return detection.curves(found, truths.boxes, classes=classes)


def worst(
    found: Sequence[Found], truths: Truths, *, ids: Sequence[str], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """The pictures with the most misses and false alarms, by boxes; see `tfmap.detections.worst`."""
    return detection.worst(found, truths.boxes, ids=ids, classes=classes)


def describe(found: Found, *, classes: Sequence[str], threshold: float = SHOWN) -> list[dict[str, Any]]:
    """Names, scores, places and pixels of what is in a picture.

    Args:
        found: in a picture.
        classes: K names.
        threshold: least score.

    Returns:
        list of {"label": str, "score": float, "box": [top, left, bottom, right], "pixels": int, "mask": {"size":
        [height, width], "counts": str}}, best first; "mask" is COCO's text of run lengths.
    """
    shown = found.take(found.scores >= threshold)
    rows = detection.describe(shown, classes=classes, threshold=threshold)
    own = zip(instances.pixels(shown).tolist(), shown.masks, strict=True)
    masks = [{"pixels": many, "mask": {**one, "counts": one["counts"].decode()}} for many, one in own]
    return [{**row, **mask} for row, mask in zip(rows, masks, strict=True)]


def alike(theirs: Sequence[Found], ours: Sequence[Found]) -> np.ndarray:
    """How many of two models' boxes lie on each other; see `tfmap.tasks.detection.alike`."""
    return detection.alike(theirs, ours)


def drawn(image: np.ndarray, found: Found, *, classes: Sequence[str], threshold: float = SHOWN) -> Picture:
    """A picture with its objects in colours, and their boxes.

    Args:
        image: uint8 (h, w, C), in whose pixels the objects are.
        found: in it.
        classes: K names.
        threshold: least score.
    """
    picture = detection.drawn(image, found, classes=classes, threshold=threshold)
    mask = instances.numbered(found.take(found.scores >= threshold), image.shape[:2])
    many = int((found.scores >= threshold).sum())
    return replace(picture, text="1 object" if many == 1 else f"{many} objects", mask=sheets.apart(mask))
