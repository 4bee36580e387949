"""What a segmenter learns from, pixel by pixel or class by class; pixels marked 255 count for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

Tensor = Any
IGNORED = 255
EPSILON = 1e-7  # keeps a logarithm of a probability finite in float32


def known(mask: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """What pixels are, and which of them count.

    Args:
        mask: int32 (B, H, W), 255 is ignored.
        classes: K.

    Returns:
        float32 (B, P, K) of 0 and 1, and float32 (B, P).
    """
    pixels = ops.reshape(mask, (ops.shape(mask)[0], -1))
    return ops.one_hot(pixels, classes), ops.cast(pixels < classes, "float32")


def cross_entropy(
    truths: Tensor, counts: Tensor, said: Tensor, *, gamma: float = 0.0, weights: Sequence[float] | None = None
) -> Tensor:
    """Mean over the pixels that count, float32 (B,).

    Args:
        truths: float32 (B, P, K).
        counts: float32 (B, P).
        said: probabilities float32 (B, P, K).
        gamma: above 0, pixels that are hard count more.
        weights: factor per class; None for all alike.

    Source: Lin et al., Focal Loss, 2017, section 3.
    """
    said = ops.clip(said, EPSILON, 1.0 - EPSILON)
    terms = -truths * ops.log(said) * (ops.power(1.0 - said, gamma) if gamma else 1.0)
    terms = terms if weights is None else terms * ops.convert_to_tensor(weights, "float32")
    return ops.sum(ops.sum(terms, axis=-1) * counts, axis=1) / ops.maximum(ops.sum(counts, axis=1), 1.0)


def imitation(theirs: Tensor, ours: Tensor) -> Tensor:
    """How far a segmenter is from another one: mean cross-entropy over the pixels, float32 (B,).

    Args:
        theirs: a teacher's probabilities float32 (B, H, W, K).
        ours: those of the segmenter that learns, of the same shape.

    Source: Liu et al., Structured Knowledge Distillation for Semantic Segmentation, 2019, section 3.1, pixel by pixel.
    """
    said = ops.clip(ops.cast(ours, "float32"), EPSILON, 1.0)
    return ops.mean(-ops.sum(theirs * ops.log(said), axis=-1), axis=(1, 2))


def dice(truths: Tensor, counts: Tensor, said: Tensor) -> Tensor:
    """One less the mean overlap of what is said and what is there, over the classes that are there, float32 (B,).

    Arguments as of `cross_entropy`.

    Source: Milletari, Navab and Ahmadi, V-Net, 2016, section 3, with squares in the denominator.
    """
    counted = counts[..., None]
    shared = ops.sum(truths * said * counted, axis=1)
    both = ops.sum((truths + said**2) * counted, axis=1)
    return _mean_of_present(1.0 - 2.0 * shared / ops.maximum(both, EPSILON), truths, counts)


def lovasz(truths: Tensor, counts: Tensor, said: Tensor) -> Tensor:
    """The convex extension of one less IoU, over the classes that are there, float32 (B,).

    Arguments as of `cross_entropy`.

    Source: Berman, Triki and Blaschko, The Lovasz-Softmax loss, 2018, algorithm 1.
    """
    errors = ops.abs(truths - said) * counts[..., None]  # an ignored pixel is no error, and stands last
    order = ops.argsort(-errors, axis=1)
    errors, there = ops.take_along_axis(errors, order, axis=1), ops.take_along_axis(truths, order, axis=1)
    there = there * ops.take_along_axis(ops.broadcast_to(counts[..., None], ops.shape(truths)), order, axis=1)
    missing = ops.cumsum(there, axis=1)
    total = missing[:, -1:]
    jaccard = 1.0 - (total - missing) / ops.maximum(total + ops.cumsum(1.0 - there, axis=1), 1.0)
    steps = ops.concatenate([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], axis=1)
    return _mean_of_present(ops.sum(errors * ops.stop_gradient(steps), axis=1), truths, counts)


def _mean_of_present(losses: Tensor, truths: Tensor, counts: Tensor) -> Tensor:
    """(B, K) -> (B,): over the classes that a picture has."""
    present = ops.cast(ops.sum(truths * counts[..., None], axis=1) > 0, "float32")
    return ops.sum(losses * present, axis=1) / ops.maximum(ops.sum(present, axis=1), 1.0)
