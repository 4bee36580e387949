"""Image -> the class of every pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfmap import masks, windows
from tfmap.checked import checked
from tfmap.errors import InputError
from tfmap.pipeline.fit import stretch
from tfmap.sheets import Picture
from tfmap.tasks import assembly
from tfmap.tasks.segmenters import losses as terms
from tfmap.tasks.segmenters.metric import MeanIoU

Size = tuple[int, int]
OUTPUTS = ("B", "H", "W", "K")
ARCHITECTURES = ("tfmap_seg", "unet", "fcn", "segnet", "deeplab_v3plus")
LOSSES = ("cross_entropy", "focal", "dice", "lovasz")


def spec(
    *, classes: int, size: tuple[int, int], channels: int = 3, batch_size: int | None = None
) -> dict[str, tf.TensorSpec]:
    """Shapes and dtypes of a training batch.

    Args:
        classes: number of classes K.
        size: (height, width) in pixels.
        channels: 3 or 1.
        batch_size: B, or None where it is open.
    """
    return {
        "image": tf.TensorSpec((batch_size, *size, channels), tf.uint8),
        "mask": tf.TensorSpec((batch_size, *size), tf.int32),
        "weight": tf.TensorSpec((batch_size,), tf.float32),
    }


def prepare(example: Mapping[str, tf.Tensor], size: tuple[int, int]) -> dict[str, tf.Tensor]:
    """Resize a whole picture to the model's input, the aspect ratio not kept, as segmenters on phones do it.

    Args:
        example: "image" uint8 (h, w, C), "mask" uint8 (a, b), as fine or finer, and "whole" int32 (2,); boxes are left
            out.
        size: (height, width) in pixels.

    Returns:
        dict: "image" uint8 (height, width, C), "mask" uint8 (height, width), where there is one, and "whole" as it is.
    """
    return stretch({key: example[key] for key in ("image", "mask", "whole") if key in example}, size)


def targets(batch: Mapping[str, Any], *, classes: int) -> Any:
    """What every pixel is.

    Args:
        batch: an augmented batch.
        classes: number of classes K.

    Returns:
        int32 (B, H, W), 255 where it is not known, or is no class.
    """
    mask = ops.cast(batch["mask"], "int32")
    return ops.where(mask < classes, mask, terms.IGNORED)


@checked("model")
def build(
    arch: str = "tfmap_seg",
    backbone: str = "mobilenet_v3_large",
    *,
    classes: int,
    input_shape: tuple[int, int, int] = (256, 256, 3),
    weights: str | None = "imagenet",
    width: int = 64,
) -> keras.Model:
    """A segmenter: an ordinary Keras 3 functional model.

    Args:
        arch: one of ARCHITECTURES.
        backbone: one of `tfmap.models.names()`, such as mobilenet_v3_large.
        classes: number of classes K, at least 2; the background is one.
        input_shape: (height, width, channels) in pixels.
        weights: "imagenet", a path to a weights file of this backbone, or null for random ones.
        width: channels of what stands on the backbone.

    Returns:
        keras.Model: input "image" float32 (B, H, W, C), values 0..255; output "probabilities" float32 (B, H, W, K), as
            large as the input, of sum 1.

    Raises:
        InputError: an unknown architecture or backbone, weights that are not there, or arguments out of range.
    """
    assembly.check(arch, ARCHITECTURES, width=width, usual="32 to 128")
    if not 2 <= classes <= 255:
        raise InputError(f"model: classes must be in 2 to 255, received {classes!r}; what is nothing else is a class.")
    body = {"input_shape": tuple(input_shape), "weights": weights}
    return assembly.assemble(f"segmenters.{arch}", backbone, classes, width, **body)


def losses(
    kind: str = "cross_entropy", *, gamma: float = 2.0, class_weights: Sequence[float] | None = None
) -> Callable[[Any, Any], Any]:
    """The loss of each picture, from what its pixels are and the model's probabilities.

    Args:
        kind: "cross_entropy"; "focal" for many easy pixels; "dice" or "lovasz", which weigh classes by overlap rather
            than by pixels, each added to cross-entropy, which has a gradient everywhere.
        gamma: how strongly "focal" turns to the hard pixels.
        class_weights: factor per class on cross-entropy.

    Returns:
        function (targets int32 (B, H, W), probabilities float32 (B, H, W, K)) -> float32 (B,).

    Raises:
        InputError: an unknown kind.
    """
    if kind not in LOSSES:
        raise InputError(f"train.loss must be one of {', '.join(LOSSES)} in segmentation, received {kind!r}.")
    overlap = {"dice": terms.dice, "lovasz": terms.lovasz}.get(kind)

    def loss(y_true: Any, y_pred: Any) -> Any:
        truths, counts = terms.known(y_true, y_pred.shape[-1])
        said = ops.cast(ops.reshape(y_pred, ops.shape(truths)), "float32")
        found = terms.cross_entropy(
            truths, counts, said, gamma=gamma if kind == "focal" else 0.0, weights=class_weights
        )
        return found if overlap is None else found + overlap(truths, counts, said)

    return loss


def imitation(theirs: Any, ours: Any) -> Any:
    """How far a model's probabilities are from a teacher's, float32 (B,); see `segmenters.losses.imitation`."""
    return terms.imitation(theirs, ours)


def metrics(*, classes: int) -> list[keras.metrics.Metric]:
    """What the progress bar shows; the first one, as val_<name>, is what the best checkpoint is chosen by.

    Args:
        classes: number of classes K.
    """
    return [MeanIoU(classes)]


def decode(outputs: np.ndarray, *, whole: np.ndarray | None = None) -> list[np.ndarray]:
    """The likeliest class of every pixel.

    Args:
        outputs: probabilities float32 (N, H, W, K); or of a file that chooses itself the classes, float32 (N, H, W).
        whole: int (N, 2), heights and widths of the pictures themselves, to whose size probabilities are brought before
            one is chosen, bilinear, and classes by the nearest pixel; without them masks are as large as the input.

    Returns:
        uint8 (h, w) per picture.
    """
    sizes = [one.shape[:2] for one in outputs] if whole is None else whole
    return [_chosen(one, tuple(map(int, size))) for one, size in zip(outputs, sizes, strict=True)]


def _chosen(said: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if said.ndim == 2:
        nearest = tf.image.ResizeMethod.NEAREST_NEIGHBOR
        return tf.image.resize(said[..., None], size, method=nearest).numpy()[..., 0].astype(np.uint8)
    probabilities = said if said.shape[:2] == size else tf.image.resize(said, size).numpy()
    return np.argmax(probabilities, axis=-1).astype(np.uint8)


def whole(outputs: np.ndarray, places: np.ndarray, window: Size, picture: Size) -> np.ndarray:
    """The likeliest class of every pixel of a picture, from what a model says of its windows.

    Args:
        outputs: of N windows, as for `decode`; where they are classes, windows have votes.
        places: int (N, 2), where they stand.
        window: (height, width) of a window, the model's input.
        picture: (height, width) of the picture.

    Returns:
        uint8 (height, width); see `tfmap.windows.blended`.
    """
    if outputs.ndim == 3:
        outputs = np.eye(int(outputs.max()) + 1, dtype=np.float32)[outputs.astype(int)]
    return np.argmax(windows.blended(outputs, places, picture), axis=-1).astype(np.uint8)


def score(said: Sequence[np.ndarray], truths: Sequence[np.ndarray], *, classes: Sequence[str]) -> dict[str, Any]:
    """Numbers that say how good masks are; see `tfmap.masks.score`.

    Args:
        said: uint8 (h, w) each.
        truths: uint8 (h, w) each, of the same sizes; 255 does not count.
        classes: K names.
    """
    return {"examples": len(said), **masks.score(said, truths, classes)}


def curves(said: Sequence[np.ndarray], truths: Sequence[np.ndarray], *, classes: Sequence[str]) -> list[dict[str, Any]]:
    """None: a mask has no threshold to move."""
    return []


def worst(
    said: Sequence[np.ndarray], truths: Sequence[np.ndarray], *, ids: Sequence[str], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """The pictures with the largest share of wrong pixels; see `tfmap.masks.worst`."""
    return masks.worst(said, truths, ids, classes)


def describe(mask: np.ndarray, *, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The classes of a picture and their shares of its pixels.

    Args:
        mask: uint8 (h, w).
        classes: K names.

    Returns:
        list of {"label": str, "share": float}, the largest first; those that are there.
    """
    counts = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
    order = np.argsort(-counts, kind="stable")
    return [{"label": classes[k], "share": float(counts[k])} for k in order if counts[k]]


def alike(theirs: Sequence[np.ndarray], ours: Sequence[np.ndarray]) -> np.ndarray:
    """Share of the pixels of each picture that two models say the same of.

    Args:
        theirs: uint8 (h, w) each.
        ours: uint8 (h, w) each, of the same sizes.

    Returns:
        float32 (N,), 0..1.
    """
    return np.array([np.mean(one == other) for one, other in zip(theirs, ours, strict=True)], np.float32)


def drawn(image: np.ndarray, mask: np.ndarray, *, classes: Sequence[str]) -> Picture:
    """A picture with its classes in colours, the first one left as it is.

    Args:
        image: uint8 (h, w, C).
        mask: uint8 (h, w), of the same size.
        classes: K names.
    """
    shares = [f"{row['label']} {row['share']:.0%}" for row in describe(mask, classes=classes)]
    return Picture(image, ", ".join(shares[:4]), mask=mask)
