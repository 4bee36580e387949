"""Image -> class, or several classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfmap import models, scores
from tfmap.checked import checked
from tfmap.curves import curves as plain_curves
from tfmap.errors import InputError
from tfmap.models.freeze import freeze
from tfmap.pipeline.fit import stretch
from tfmap.sheets import Picture
from tfmap.tasks.classifiers import losses as terms

OUTPUTS = ("B", "K")


def spec(
    *, classes: int, size: tuple[int, int], channels: int = 3, batch_size: int | None = None, multi_label: bool = False
) -> dict[str, tf.TensorSpec]:
    """Shapes and dtypes of a training batch.

    Args:
        classes: number of classes K.
        size: (height, width) in pixels.
        channels: 3 or 1.
        batch_size: B, or None where it is open.
        multi_label: whether a label is a row of K zeros and ones instead of an index.
    """
    label = tf.TensorSpec((batch_size, classes), tf.float32) if multi_label else tf.TensorSpec((batch_size,), tf.int32)
    return {
        "image": tf.TensorSpec((batch_size, *size, channels), tf.uint8),
        "label": label,
        "weight": tf.TensorSpec((batch_size,), tf.float32),
    }


def prepare(example: Mapping[str, tf.Tensor], size: tuple[int, int]) -> dict[str, tf.Tensor]:
    """Resize a whole picture to the model's input, the aspect ratio not kept.

    Bilinear without antialiasing, as image classifiers on phones do it; the decoder has already brought a large JPEG
    to less than twice the target, so no pixel is passed over.

    Args:
        example: "image" uint8 (h, w, C); boxes and masks are left out.
        size: (height, width) in pixels.

    Returns:
        dict: "image" uint8 (height, width, C).
    """
    return stretch({"image": example["image"]}, size)


def targets(batch: Mapping[str, Any], *, classes: int, label_smoothing: float = 0.0) -> Any:
    """What the outputs should be.

    Args:
        batch: an augmented batch; "label" int32 (B,), or float32 (B, K) once mixed or with several labels a picture.
        classes: number of classes K.
        label_smoothing: share of each label that is spread over all classes, in [0, 1). With several labels a picture
            each class moves towards one half instead.

    Returns:
        float32 (B, K).

    Source: Szegedy et al., Rethinking the Inception Architecture, 2016, section 7.
    """
    label = batch["label"]
    mixed = len(label.shape) == 2
    rows = ops.cast(label, "float32") if mixed else ops.one_hot(label, classes, dtype="float32")
    return rows * (1.0 - label_smoothing) + label_smoothing / classes


@checked("model")
def build(
    backbone: str = "mobilenet_v3_small",
    *,
    classes: int,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    weights: str | None = "imagenet",
    dropout: float = 0.2,
    multi_label: bool = False,
    trainable: bool | str = True,
) -> keras.Model:
    """An image classifier: an ordinary Keras 3 functional model.

    Args:
        backbone: one of `tfmap.models.names()`, such as mobilenet_v3_small.
        classes: number of classes K, at least 2 (1 with `multi_label`).
        input_shape: (height, width, channels) in pixels.
        weights: "imagenet", a path to a weights file of this backbone, or null for random ones.
        dropout: share of features dropped before the classifying layer, in [0, 1).
        multi_label: whether a picture may have several labels: sigmoid outputs instead of softmax.
        trainable: true, false (only the head learns), or the name of the stage or layer from which on layers learn.

    Returns:
        keras.Model: input "image" float32 (B, H, W, C), values 0..255 (the first layer normalises them as the
        backbone's weights expect); output "probabilities" float32 (B, K).

    Raises:
        InputError: an unknown backbone, weights that are not there, or arguments out of range.
    """
    _check_head(classes, dropout, multi_label)
    body = models.build(backbone, input_shape=tuple(input_shape), weights=weights)
    features = list(body.output.values())[-1]
    x = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    # Logits and probabilities stay float32 under mixed precision: a softmax in float16 overflows.
    x = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    outputs = keras.layers.Activation("sigmoid" if multi_label else "softmax", dtype="float32", name="probabilities")(x)
    model = keras.Model(body.input, outputs, name=backbone)
    freeze(model, trainable)
    return model


def _check_head(classes: int, dropout: float, multi_label: bool) -> None:
    least = 1 if multi_label else 2
    if classes < least:
        raise InputError(f"model: classes must be a whole number of at least {least}, received {classes!r}.")
    if not 0 <= dropout < 1:
        raise InputError(f"model.dropout must be in [0, 1), received {dropout!r}.")


def losses(
    kind: str = "cross_entropy",
    *,
    multi_label: bool = False,
    gamma: float = 2.0,
    class_weights: Sequence[float] | None = None,
    priors: Sequence[float] | None = None,
    tau: float = 1.0,
) -> Callable[[Any, Any], Any]:
    """The loss of each picture, from its targets and the model's probabilities.

    Every kind takes mixed and smoothed targets: it is linear in them, so the loss of a mixture is the mixture of the
    losses.

    Args:
        kind: "cross_entropy", "focal" or "logit_adjustment".
        multi_label: whether outputs are independent (sigmoid) rather than exclusive (softmax).
        gamma: how strongly "focal" turns to the hard pictures; 0 is cross-entropy.
        class_weights: factor per class. A mixed picture gets the mean of its classes' factors by its shares.
        priors: for "logit_adjustment", the share of pictures that have each class, in (0, 1).
        tau: how strongly "logit_adjustment" makes up for the priors; 0 is cross-entropy.

    Returns:
        function (targets float32 (B, K), probabilities float32 (B, K)) -> float32 (B,).

    Raises:
        InputError: an unknown kind.

    Source: Lin et al., Focal Loss for Dense Object Detection, 2017, section 3; Menon et al., Long-Tail Learning via
    Logit Adjustment, 2021, equation 10. The model is taught as if its outputs were shifted by the priors, and is saved
    without the shift, so there is nothing to adjust in the file.
    """
    if kind not in ("cross_entropy", "focal", "logit_adjustment"):
        raise InputError(f"train.loss must be cross_entropy, focal or logit_adjustment, received {kind!r}.")
    power = gamma if kind == "focal" else 0.0
    factors = None if class_weights is None else np.asarray(class_weights, "float32")
    shift = tau * terms.log_odds(priors, multi_label) if kind == "logit_adjustment" else None
    per_class = terms.independent if multi_label else terms.exclusive

    def loss(y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.clip(ops.cast(y_pred, "float32"), terms.EPSILON, 1.0 - terms.EPSILON)
        y_pred = y_pred if shift is None else terms.shifted(y_pred, shift, multi_label)
        cost = per_class(y_true, y_pred, power) * (1.0 if factors is None else factors)
        return ops.sum(cost, axis=-1) if not multi_label else ops.mean(cost, axis=-1)

    return loss


def metrics(*, classes: int, multi_label: bool = False) -> list[keras.metrics.Metric]:
    """What the progress bar shows; the first one, as val_<name>, is what the best checkpoint is chosen by.

    Targets are rows (B, K), mixed ones included: "accuracy" compares the largest target with the largest output. The
    variables are made at once: a training step under a strategy may not make any.
    """
    if multi_label:
        return [keras.metrics.AUC(curve="PR", multi_label=True, num_labels=classes, name="mean_average_precision")]
    return [keras.metrics.CategoricalAccuracy(name="accuracy")]


def decode(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities as they are: what they are worth is said by `score`, `describe` names them.

    Args:
        probabilities: float32 (N, K).
    """
    return probabilities


def score(probabilities: np.ndarray, truths: np.ndarray, *, classes: Sequence[str]) -> dict[str, Any]:
    """Numbers that say how good predictions are; see `tfmap.scores`.

    Args:
        probabilities: float32 (N, K).
        truths: int32 (N,), or float32 (N, K) where a picture has several labels.
        classes: K names.
    """
    if np.ndim(truths) == 2:
        return scores.multi_label(probabilities, truths, classes)
    return scores.single_label(probabilities, truths, classes)


def curves(probabilities: np.ndarray, truths: np.ndarray, *, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Precision-recall and ROC of each class; see `tfmap.curves.curves`. Arguments as for `score`."""
    return plain_curves(probabilities, truths, classes)


def worst(
    probabilities: np.ndarray, truths: np.ndarray, *, ids: Sequence[str], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """The wrong answers that the model is surest of; see `tfmap.scores.worst`."""
    return scores.worst(probabilities, truths, ids, classes)


def describe(probabilities: np.ndarray, *, classes: Sequence[str], top_k: int = 3) -> list[dict[str, Any]]:
    """Names and scores of a picture's likeliest classes.

    Args:
        probabilities: float32 (K,).
        classes: K names.
        top_k: how many at most.

    Returns:
        list of {"label": str, "score": float}, best first.
    """
    if len(probabilities) != len(classes):
        raise InputError(f"describe: {len(probabilities)} outputs but {len(classes)} class names.")
    best = np.argsort(-probabilities, kind="stable")[:top_k]
    return [{"label": classes[k], "score": float(probabilities[k])} for k in best]


def alike(theirs: np.ndarray, ours: np.ndarray, *, multi_label: bool = False) -> np.ndarray:
    """Whether two models decide alike: the likeliest class, or with several labels a picture all that are above a half.

    Args:
        theirs: float32 (N, K).
        ours: float32 (N, K).
        multi_label: whether a picture may have several labels.

    Returns:
        float32 (N,): 1 or 0.
    """
    if multi_label:
        return ((theirs >= 0.5) == (ours >= 0.5)).all(axis=1).astype(np.float32)
    return (theirs.argmax(axis=1) == ours.argmax(axis=1)).astype(np.float32)


def drawn(image: np.ndarray, probabilities: np.ndarray, *, classes: Sequence[str]) -> Picture:
    """A picture, its likeliest class below it.

    Args:
        image: uint8 (h, w, C).
        probabilities: float32 (K,).
        classes: K names.
    """
    (best,) = describe(probabilities, classes=classes, top_k=1)
    return Picture(image, f"{best['label']} {best['score']:.2f}")
