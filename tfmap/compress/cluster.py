"""Weight sharing: a kernel is left with a few different values, and the file packs to a fraction."""

from __future__ import annotations

from fnmatch import fnmatchcase

import keras
import numpy as np
import tf_keras

from tfmap.compress import bridge
from tfmap.compress.finetune import Feed, FineTuning, fine_tune
from tfmap.compress.ties import Hold, scale_axes
from tfmap.errors import InputError, did_you_mean

L = tf_keras.layers
# Depthwise kernels hold few weights and each counts. Transposed ones have their output channels elsewhere.
CLUSTERABLE = (L.Conv2D, L.Dense)
_SAMPLE = 50_000  # weights that the values are fitted to
_ROUNDS = 30  # of Lloyd's algorithm; on weights it settles in about twenty


def cluster(
    model: keras.Model,
    feed: Feed,
    *,
    clusters: int = 16,
    keep: tuple[str, ...] | None = None,
    how: FineTuning | None = None,
) -> keras.Model:
    """Let the weights of each kernel share a few values, and fine-tune these; zeros stay zeros.

    The values are magnitudes with a sign, in units of the largest weight of an output channel, or of a dense kernel;
    `ties` says why. 16 clusters are 8 magnitudes, or zero and 7. The largest magnitude is 1; the others are found by
    k-means++.

    Args:
        model: Keras 3 classifier: images (B, H, W, C), values 0..255 -> probabilities (B, K).
        feed: batches.
        clusters: different integers that an int8 file will have in each kernel, 4 to 128.
        keep: patterns of layer names that are left as they are; none given keeps the first convolution and the last
            dense layer.
        how: the fine-tuning.

    Returns:
        keras.Model: a new ordinary Keras 3 model.

    Raises:
        InputError: clusters out of range, a pattern that no layer matches, or a model that cannot be bridged.

    Source: Han et al., Deep Compression, 2016, section 3; Arthur and Vassilvitskii, k-means++, 2007.
    """
    if isinstance(clusters, bool) or not isinstance(clusters, int) or not 4 <= clusters <= 128:
        raise InputError(f"compress: clusters must be a whole number from 4 to 128, received {clusters!r}.")
    how = how or FineTuning()
    legacy = bridge.to_tf_keras(model)
    kernels = [legacy.get_layer(name).kernel for name in chosen(legacy, keep)]
    for kernel in kernels:
        kernel.assign(shared(kernel.numpy(), clusters, seed=how.seed))
    pruned = [layer.kernel for layer in legacy.layers if type(layer) in (*CLUSTERABLE, L.Conv2DTranspose)]
    fine_tune(legacy, feed, how, callbacks=[Hold(pruned)], keep_from=-1, step="cluster")
    return bridge.brought_home(legacy, model)


def chosen(legacy: tf_keras.Model, keep: tuple[str, ...] | None) -> list[str]:
    """Names of the layers that are clustered.

    Args:
        legacy: bridged model.
        keep: as in `cluster`.
    """
    names = [layer.name for layer in legacy.layers if type(layer) in CLUSTERABLE]
    if keep is None:
        convolutions = [name for name in names if type(legacy.get_layer(name)) is L.Conv2D]
        denses = [name for name in names if type(legacy.get_layer(name)) is L.Dense]
        keep = (*convolutions[:1], *denses[-1:])
    for pattern in keep:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(
                f"compress: no layer that can be clustered matches {pattern!r}. Layers: {', '.join(names) or 'none'}."
                f"{did_you_mean(pattern, names)}"
            )
    return [name for name in names if not any(fnmatchcase(name, pattern) for pattern in keep)]


def shared(kernel: np.ndarray, clusters: int, *, seed: int = 0) -> np.ndarray:
    """The nearest kernel whose weights share a few values.

    Args:
        kernel: float32 (..., output channels).
        clusters: as in `cluster`.
        seed: of k-means++.

    Returns:
        float32, the kernel's shape.
    """
    largest = np.abs(kernel).max(axis=scale_axes(kernel.ndim), keepdims=True)
    unit = np.abs(kernel) / np.where(largest > 0, largest, 1)
    some = unit[unit > 0]
    count = (clusters - 1) // 2 if some.size < unit.size else clusters // 2
    if len(np.unique(some)) <= count:
        return kernel
    rng = np.random.default_rng(seed)
    levels = kmeans(rng.choice(some, min(_SAMPLE, some.size), replace=False), count - 1, rng)
    levels = np.append(levels, 1.0)
    nearest = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, unit)]
    return (np.where(unit > 0, nearest, 0) * np.sign(kernel) * largest).astype(np.float32)


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
