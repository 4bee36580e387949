"""Magnitude pruning: the smallest weights become zero, the others learn to do without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

import keras
import numpy as np
import tf_keras

from tfmap.compress import bridge
from tfmap.compress.finetune import Feed, FineTuning, fine_tune
from tfmap.compress.hosted import SCOPE
from tfmap.compress.legacy import tfmot
from tfmap.errors import InputError, did_you_mean

L = tf_keras.layers
# Depthwise kernels hold few weights and each counts: they stay dense.
PRUNABLE = (L.Conv2D, L.Conv2DTranspose, L.Dense)
# Share of the steps in which sparsity rises; the rest heals.
_RAMP = 0.5


def prune(
    model: keras.Model,
    feed: Feed,
    *,
    sparsity: float | Mapping[str, float] = 0.5,
    schedule: Literal["polynomial", "constant"] = "polynomial",
    keep: tuple[str, ...] | None = None,
    how: FineTuning | None = None,
) -> keras.Model:
    """Zero the smallest weights of each layer while fine-tuning.

    Args:
        model: Keras 3 classifier: images (B, H, W, C), values 0..255 -> probabilities (B, K).
        feed: batches.
        sparsity: share of zeros in each pruned kernel, in (0, 1); or {pattern of layer names: share}, the last pattern
            that matches counts and 0 leaves a layer dense.
        schedule: "polynomial" lets the share rise over the first half of the steps, "constant" has it from the start.
        keep: patterns of layer names that stay dense; none given keeps the first convolution and the last dense layer.
        how: the fine-tuning.

    Returns:
        keras.Model: a new ordinary Keras 3 model, its pruned kernels with exact zeros.

    Raises:
        InputError: a share out of range, a pattern that no layer matches, or a model that cannot be bridged.

    Source: Zhu and Gupta, To prune, or not to prune, 2017, section 3.
    """
    how = how or FineTuning()
    legacy = bridge.to_tf_keras(model)
    shares = plan(legacy, sparsity, keep)
    wrapped = _wrap(legacy, shares, lambda share: _schedule(schedule, share, feed.steps * how.epochs))
    # Sparse enough after the ramp; epochs are whole, so the first one counted is the next.
    keep_from = min(how.epochs - 1, int(np.ceil(_RAMP * how.epochs))) if schedule == "polynomial" else 0
    sparsity_api = tfmot().sparsity.keras
    fine_tune(wrapped, feed, how, callbacks=[sparsity_api.UpdatePruningStep()], keep_from=keep_from, step="prune")
    return bridge.brought_home(sparsity_api.strip_pruning(wrapped), model)


def plan(
    legacy: tf_keras.Model, sparsity: float | Mapping[str, float], keep: tuple[str, ...] | None = None
) -> dict[str, float]:
    """Which layers are pruned, and how far.

    Args:
        legacy: bridged model.
        sparsity: as in `prune`.
        keep: as in `prune`.

    Returns:
        name of a layer -> share of zeros, without the layers that stay dense.
    """
    names = [layer.name for layer in legacy.layers if type(layer) in PRUNABLE]
    patterns = dict(sparsity) if isinstance(sparsity, Mapping) else {"*": sparsity}
    for share in patterns.values():
        if not isinstance(share, (int, float)) or not 0 <= share < 1:
            raise InputError(
                f"compress: sparsity must be in [0, 1), received {share!r}; 0.5 zeroes half of the weights."
            )
    for pattern in (*patterns, *(keep or ())):
        _check_matches(pattern, names)
    dense = _first_and_last(legacy) if keep is None else {n for n in names if any(fnmatchcase(n, p) for p in keep)}
    shares = {name: _last_match(name, patterns) for name in names if name not in dense}
    return {name: share for name, share in shares.items() if share}


def _first_and_last(legacy: tf_keras.Model) -> set[str]:
    """The first convolution and the last dense layer: few weights, and all others depend on them."""
    convolutions = [layer.name for layer in legacy.layers if type(layer) is L.Conv2D]
    denses = [layer.name for layer in legacy.layers if type(layer) is L.Dense]
    return {*convolutions[:1], *denses[-1:]}


def _last_match(name: str, patterns: Mapping[str, float]) -> float:
    shares = [share for pattern, share in patterns.items() if fnmatchcase(name, pattern)]
    return shares[-1] if shares else 0.0


def _check_matches(pattern: str, names: list[str]) -> None:
    if not any(fnmatchcase(name, pattern) for name in names):
        raise InputError(
            f"compress: no layer that can be pruned matches {pattern!r}. Layers: {', '.join(names) or 'none'}."
            f"{did_you_mean(pattern, names)}"
        )


def _wrap(legacy: tf_keras.Model, shares: Mapping[str, float], schedule: Callable[[float], Any]) -> tf_keras.Model:
    """The model with a mask around each layer of the plan; its layers are used up, so bridge again for the next try."""
    api = tfmot().sparsity.keras

    def wrap(layer: tf_keras.layers.Layer) -> Any:
        if layer.name not in shares:
            return layer
        return api.prune_low_magnitude(layer, schedule(shares[layer.name]))

    with tf_keras.utils.custom_object_scope(SCOPE):
        return tf_keras.models.clone_model(legacy, clone_function=wrap)


def _schedule(schedule: str, share: float, steps: int) -> Any:
    """tfmot's default of one update in 100 steps would never prune on a small data set."""
    api = tfmot().sparsity.keras
    if schedule == "constant":
        return api.ConstantSparsity(share, begin_step=0, frequency=1)
    if schedule != "polynomial":
        raise InputError(f"compress: schedule must be polynomial or constant, received {schedule!r}.")
    ramp = max(1, int(steps * _RAMP))
    frequency = max(1, ramp // 20)
    # A multiple of the frequency: the last update has to fall on the last step, or the share is never reached.
    return api.PolynomialDecay(0.0, share, begin_step=0, end_step=ramp // frequency * frequency, frequency=frequency)


def sparsities(model: keras.Model) -> dict[str, float]:
    """Share of zeros in each kernel of a Keras 3 model, by the name of the layer."""
    shares = {}
    for layer in model._flatten_layers(include_self=False, recursive=True):
        for weight in layer._trainable_variables:
            if weight.name.endswith("kernel") and len(weight.shape) > 1:
                shares[layer.name if weight.name == "kernel" else f"{layer.name}/{weight.name}"] = float(
                    np.mean(np.asarray(weight) == 0)
                )
    return shares
