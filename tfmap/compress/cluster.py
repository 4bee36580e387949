"""Weight sharing: kernels are left with a few different values, and the file packs to a fraction.

A value is a magnitude, with a sign, in units of the largest weight of its output channel, or of the kernel in a dense
layer. An int8 file has a scale per output channel, set by that weight, so all channels get the same few integers
there, and the sign of a normalisation that is folded in makes no new ones. Values shared in float, as tfmot's
clustering makes them, are rounded to other integers in every channel; values of their own for each kernel cost gzip,
whose table of codes spans several kernels, a sixth more than values for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import keras
import numpy as np
import tf_keras
from keras import ops

from tfmap.compress import ends, patterns, rounding
from tfmap.compress.finetune import Feed, FineTuning
from tfmap.compress.ties import largest_of, scale_axes
from tfmap.errors import InputError

L = tf_keras.layers
# Depthwise kernels hold few weights and each counts. Transposed ones have their output channels elsewhere.
CLUSTERABLE = (L.Conv2D, L.Dense)
_SAMPLE = 50_000  # weights that the values are fitted to
_ROUNDS = 30  # of Lloyd's algorithm; on weights it settles in about twenty
_INTEGERS = 127  # of an int8 kernel, on either side of zero


def cluster(
    model: keras.Model,
    feed: Feed,
    *,
    clusters: int = 16,
    keep: tuple[str, ...] | None = None,
    how: FineTuning | None = None,
) -> keras.Model:
    """Let all weights share a few values while the network learns which weight takes which; zeros stay zeros.

    16 clusters are 8 magnitudes, or zero and 7. The largest is 1; the others are found by k-means++ over all kernels
    and are whole numbers of int8's steps.

    Args:
        model: Keras 3 classifier: images (B, H, W, C), values 0..255 -> probabilities (B, K).
        feed: batches.
        clusters: different integers that an int8 file will have in its kernels, 4 to 128.
        keep: patterns of layer names that are left as they are; none given keeps the first convolution and the last
            kernel of each output.
        how: the fine-tuning.

    Returns:
        keras.Model: a new ordinary Keras 3 model.

    Raises:
        InputError: clusters out of range, a pattern that no layer matches, no layer to cluster, or a model that cannot
            be bridged.

    Source: Han et al., Deep Compression, 2016, section 3; Arthur and Vassilvitskii, k-means++, 2007.
    """
    if isinstance(clusters, bool) or not isinstance(clusters, int) or not 4 <= clusters <= 128:
        raise InputError(f"compress: clusters must be a whole number from 4 to 128, received {clusters!r}.")
    how = how or FineTuning()

    def plan(legacy: tf_keras.Model) -> dict[str, Any]:
        names = chosen(legacy, keep)
        if not names:
            raise InputError(
                f"compress: cluster finds no kernel to share values in {model.name!r}: {ends.KEPT}. Set keep=[], or "
                "leave cluster out."
            )
        kernels = [legacy.get_layer(name).kernel.numpy() for name in names]
        return dict.fromkeys(names, partial(shared, values=magnitudes(kernels, clusters, seed=how.seed)))

    return rounding.fine_tuned(model, feed, how, "cluster", plan)


def chosen(legacy: tf_keras.Model, keep: tuple[str, ...] | None) -> list[str]:
    """Names of the layers that are clustered.

    Args:
        legacy: bridged model.
        keep: as in `cluster`.
    """
    names = [layer.name for layer in legacy.layers if type(layer) in CLUSTERABLE]
    if keep is None:
        kept = ends.of(legacy)
        return [name for name in names if name not in kept]
    for pattern in keep:
        patterns.check(pattern, names, "that can be clustered")
    return [name for name in names if not patterns.among(name, keep)]


def magnitudes(kernels: Iterable[np.ndarray], clusters: int, *, seed: int = 0) -> np.ndarray:
    """The few magnitudes that weights may have, in units of the largest of their channel.

    Args:
        kernels: float32 (..., output channels).
        clusters: as in `cluster`; zero takes one of them where a kernel has zeros.
        seed: of k-means++.

    Returns:
        float32 (count,), ascending, multiples of 1/127, the last one 1 and the first one 0 where a kernel has zeros;
        fewer than asked for where weights take fewer.
    """
    units = [np.abs(kernel) / largest_of(kernel) for kernel in kernels]
    every = np.concatenate([np.zeros(0, "float32"), *map(np.ravel, units)])
    some = every[every > 0]
    zeros = [0] if some.size < every.size else []
    count = (clusters - len(zeros)) // 2
    rng = np.random.default_rng(seed)
    some = rng.choice(some, min(_SAMPLE, some.size), replace=False)
    steps = [*zeros, *np.maximum(np.round(_below(some, count - 1, rng) * _INTEGERS), 1), _INTEGERS]
    return (np.unique(steps) / _INTEGERS).astype("float32")


def _below(units: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The magnitudes besides 1, at most so many."""
    if not count:
        return units[:0]
    return kmeans(units, count, rng) if len(np.unique(units)) > count + 1 else units


def shared(kernel: Any, values: np.ndarray) -> Any:
    """The nearest kernel whose weights share a few magnitudes; zeros stay zeros.

    Where zero is one of the values small weights round to it: a layer that was hardly pruned has many of them.

    Args:
        kernel: float32 (..., output channels).
        values: what `magnitudes` gave.

    Returns:
        float32, the kernel's shape.
    """
    size = ops.abs(kernel)
    largest = ops.max(size, axis=scale_axes(len(kernel.shape)), keepdims=True)
    unit = size / ops.maximum(largest, 1e-12)
    nearest = ops.full_like(unit, values[0])
    for low, high in zip(values[:-1], values[1:], strict=True):
        nearest = ops.where(unit > (low + high) / 2, high, nearest)
    return nearest * ops.sign(kernel) * largest


def kmeans(values: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Centres of numbers, in ascending order, by k-means with the k-means++ start.

    Args:
        values: (N,), at least `count` different ones.
        count: of the centres.
        rng: draws the start.

    Returns:
        (count,).

    Source: Arthur and Vassilvitskii, k-means++: The Advantages of Careful Seeding, 2007.
    """
    centres = rng.choice(values, 1)
    while len(centres) < count:
        distance = np.abs(values[:, None] - centres).min(axis=1) ** 2
        centres = np.append(centres, rng.choice(values, p=distance / distance.sum()))
    for _ in range(_ROUNDS):
        centres = np.sort(centres)
        groups = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
        members = np.bincount(groups, minlength=count)
        sums = np.bincount(groups, weights=values, minlength=count)
        centres = np.where(members > 0, sums / np.maximum(members, 1), centres)
    return np.sort(centres)
