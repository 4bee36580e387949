"""Magnitude pruning: the smallest weights become zero, the others learn to do without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import keras
import numpy as np
import tf_keras

from tfmap.compress import blocks, bridge, ends, patterns
from tfmap.compress.finetune import Feed, FineTuning, fine_tune
from tfmap.compress.hosted import SCOPE
from tfmap.compress.legacy import tfmot
from tfmap.errors import InputError

L = tf_keras.layers
# Depthwise kernels hold few weights and each counts: they stay dense.
PRUNABLE = (L.Conv2D, L.Conv2DTranspose, L.Dense)
# Two zeros in every four neighbours, as a share that stands for itself.
TWO_OF_FOUR = "2:4"
# Share of the steps in which sparsity rises; the rest heals.
_RAMP = 0.5
# One threshold for all kernels could empty one of them, and a layer without weights answers nothing.
_MOST = 0.95

Share = float | str


def prune(
    model: keras.Model,
    feed: Feed,
    *,
    sparsity: Share | Mapping[str, Share] = 0.5,
    schedule: Literal["polynomial", "constant"] = "polynomial",
    scope: Literal["layer", "global"] = "layer",
    block: tuple[int, int] = (1, 1),
    keep: tuple[str, ...] | None = None,
    how: FineTuning | None = None,
) -> keras.Model:
    """Zero the smallest weights while fine-tuning.

    Args:
        model: Keras 3 classifier: images (B, H, W, C), values 0..255 -> probabilities (B, K).
        feed: batches.
        sparsity: share of zeros, in [0, 1); "2:4" for two zeros in every four neighbouring input channels; or
            {pattern of layer names: one of these}, the last pattern that matches counts and 0 leaves a layer dense.
        schedule: "polynomial" lets the share rise over the first half of the steps, "constant" has it from the start;
            "2:4" is there from the first step.
        scope: "layer" gives every kernel its share. "global" has one threshold for all of them, where the trained
            weights together have the share; no kernel loses more than 95% (or the share, if that is more).
        block: (height, width) of the blocks that become zero together, in a kernel seen as a matrix with a row for each
            input (and place in the window) and a column for each output channel; the blocks with the smallest mean go.
        keep: patterns of layer names that stay dense; none given keeps the first convolution and the last
            kernel of each output.
        how: the fine-tuning.

    Returns:
        keras.Model: a new ordinary Keras 3 model, its pruned kernels with exact zeros.

    Raises:
        InputError: a setting out of range, settings that exclude each other, a pattern that no layer matches, or a
            model that cannot be bridged.

    Source: Han et al., Learning both Weights and Connections for Efficient Neural Networks, 2015, section 3; for the
        schedule Zhu and Gupta, To prune, or not to prune, 2017, section 3.
    """
    how = how or FineTuning()
    legacy = bridge.to_tf_keras(model)
    shares = plan(legacy, sparsity, keep, scope=scope, block=block)
    if not shares and any(sparsity.values() if isinstance(sparsity, Mapping) else [sparsity]):
        raise InputError(
            f"compress: prune finds no kernel to prune in {model.name!r}: {ends.KEPT}. Set keep=[], or leave prune out."
        )
    wrapped = _wrap(legacy, shares, lambda share: _schedule(schedule, share, feed.steps * how.epochs), tuple(block))
    # Sparse enough after the ramp; epochs are whole, so the first one counted is the next.
    keep_from = min(how.epochs - 1, int(np.ceil(_RAMP * how.epochs))) if schedule == "polynomial" else 0
    sparsity_api = tfmot().sparsity.keras
    fine_tune(wrapped, feed, how, callbacks=[sparsity_api.UpdatePruningStep()], keep_from=keep_from, step="prune")
    return bridge.brought_home(sparsity_api.strip_pruning(wrapped), model)


def plan(
    legacy: tf_keras.Model,
    sparsity: Share | Mapping[str, Share],
    keep: tuple[str, ...] | None = None,
    *,
    scope: str = "layer",
    block: tuple[int, int] = (1, 1),
) -> dict[str, Share]:
    """Which layers are pruned, and how far.

    Args:
        legacy: bridged model.
        sparsity: as in `prune`.
        keep: as in `prune`.
        scope: as in `prune`.
        block: as in `prune`.

    Returns:
        name of a layer -> share of zeros or "2:4", without the layers that stay dense.
    """
    names = [layer.name for layer in legacy.layers if type(layer) in PRUNABLE]
    by_pattern = dict(sparsity) if isinstance(sparsity, Mapping) else {"*": sparsity}
    _check(by_pattern, scope, block)
    for pattern in (*by_pattern, *(keep or ())):
        patterns.check(pattern, names, "that can be pruned")
    dense = ends.of(legacy) if keep is None else {name for name in names if patterns.among(name, keep)}
    shares = {name: _last_match(name, by_pattern) for name in names if name not in dense}
    shares = {name: share for name, share in shares.items() if share}
    return _global(legacy, shares, block) if scope == "global" and shares else shares


def _check(by_pattern: Mapping[str, Share], scope: str, block: tuple[int, int]) -> None:
    shares = list(by_pattern.values())
    for share in shares:
        if share != TWO_OF_FOUR and not (isinstance(share, (int, float)) and 0 <= share < 1):
            raise InputError(
                f'compress: sparsity must be in [0, 1) or "2:4", received {share!r}; 0.5 zeroes half of the weights.'
            )
    if scope not in ("layer", "global"):
        raise InputError(f"compress: scope must be layer or global, received {scope!r}.")
    if len(block) != 2 or any(type(side) is not int or side < 1 for side in block):
        raise InputError(f"compress: block must be two whole numbers of at least 1, as in (1, 4), received {block!r}.")
    if TWO_OF_FOUR in shares and (scope == "global" or tuple(block) != (1, 1)):
        raise InputError('compress: sparsity "2:4" says itself which weights go. Leave scope and block away.')
    if scope == "global" and len({share for share in shares if share}) > 1:
        raise InputError(f"compress: scope global takes one share for all layers, received {dict(by_pattern)!r}.")


def _last_match(name: str, by_pattern: Mapping[str, Share]) -> Share:
    shares = [share for pattern, share in by_pattern.items() if patterns.among(name, [pattern])]
    return shares[-1] if shares else 0.0


def _global(legacy: tf_keras.Model, shares: Mapping[str, float], block: tuple[int, int]) -> dict[str, Share]:
    """What each layer loses to one threshold that all together lose the wanted share to.

    The threshold is that of the trained weights: what moves while fine-tuning moves within its layer.
    """
    share = next(iter(shares.values()))
    means = {name: np.ravel(blocks.means(legacy.get_layer(name).kernel, block)) for name in shares}
    most, total = max(_MOST, share), sum(values.size for values in means.values())

    def lost(threshold: float) -> dict[str, Share]:
        return {name: min(most, float(np.mean(values <= threshold))) for name, values in means.items()}

    low, high = 0.0, max(float(values.max()) for values in means.values())
    for _ in range(40):
        middle = (low + high) / 2
        enough = sum(part * means[name].size for name, part in lost(middle).items()) >= share * total
        low, high = (low, middle) if enough else (middle, high)
    return {name: part for name, part in lost(high).items() if part}


def _wrap(
    legacy: tf_keras.Model,
    shares: Mapping[str, Share],
    schedule: Callable[[float], Any],
    block: tuple[int, int],
) -> tf_keras.Model:
    """The model with a mask around each layer of the plan; its layers are used up, so bridge again for the next try."""
    api = tfmot().sparsity.keras

    def wrap(layer: tf_keras.layers.Layer) -> Any:
        share = shares.get(layer.name)
        if share is None:
            return layer
        if share == TWO_OF_FOUR:
            return api.prune_low_magnitude(layer, schedule(0.5), sparsity_m_by_n=(2, 4))
        if block != (1, 1):
            return blocks.wrapped(layer, schedule(share), block)
        return api.prune_low_magnitude(layer, schedule(share))

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
