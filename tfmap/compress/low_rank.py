"""Low-rank layers: a wide layer becomes two or three narrow ones, where that saves multiply-adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfmap.compress import bridge
from tfmap.compress.bridge_copies import copy_of
from tfmap.compress.callbacks import check_finite
from tfmap.compress.channels_rebuild import flattened
from tfmap.compress.factors import Factors, factor, of
from tfmap.compress.finetune import Feed, FineTuning, fine_tune
from tfmap.errors import InputError

_ENERGY = 0.9


def low_rank(
    model: keras.Model,
    feed: Feed,
    *,
    energy: float | None = None,
    size: float | None = None,
    how: FineTuning | None = None,
) -> keras.Model:
    """Split dense layers and convolutions into narrow ones, and fine-tune.

    A dense layer or a convolution of one pixel becomes two by a singular value decomposition; a spatial convolution
    becomes three, 1x1, k x k and 1x1, by a Tucker decomposition of its channels (HOSVD). A layer that would not save
    multiply-adds at its rank stays as it is, and so do grouped and depthwise convolutions.

    Args:
        model: Keras 3 classifier: images (B, H, W, C), values 0..255 -> probabilities (B, K).
        feed: batches.
        energy: share of a kernel's squared norm that each split layer keeps, in (0, 1); 0.9 if neither is given.
        size: share of the model's weights that is left, in (0, 1): the highest energy that reaches it is taken.
        how: the fine-tuning.

    Returns:
        keras.Model: a new functional model; the last of the new layers has the old one's name. Nested models are
            dissolved in it.

    Raises:
        InputError: energy or size out of range, both given, a size that no rank reaches, no layer that is worth
            splitting, weights that are no numbers, or a model that cannot be bridged or whose graph cannot be read.

    Source: Denton et al., Exploiting Linear Structure Within Convolutional Networks, 2014; Kim et al., Compression of
        Deep Convolutional Neural Networks for Fast and Low Power Mobile Applications (Tucker-2), 2016.
    """
    how = how or FineTuning()
    ranks = plan(model, energy=energy, size=size)
    if not ranks:
        raise InputError(
            f"compress: low_rank finds no layer in {model.name!r} that has fewer multiply-adds once it is split. "
            f"Ask for less than energy={_ENERGY if energy is None else energy}, or leave low_rank out."
        )
    smaller = split(model, ranks)
    legacy = bridge.to_tf_keras(smaller)
    fine_tune(legacy, feed, how, keep_from=-1, step="low_rank")
    return bridge.brought_home(legacy, smaller)


def plan(model: keras.Model, *, energy: float | None = None, size: float | None = None) -> dict[str, tuple[int, ...]]:
    """Which layers are split, and to what ranks.

    Args:
        model: as in `low_rank`.
        energy: as in `low_rank`.
        size: as in `low_rank`.

    Returns:
        name of a layer -> (rank,), or (rank of the inputs, rank of the outputs) of a spatial convolution. Names are
        those of the flattened model, where a second layer called conv is conv__2.

    Raises:
        InputError: as `low_rank`, but that there may be no layer to split.
    """
    for name, value in (("energy", energy), ("size", size)):
        if value is not None and not 0 < value < 1:
            raise InputError(f"compress: low_rank takes {name} in (0, 1), received {value!r}.")
    if energy is not None and size is not None:
        raise InputError(f"compress: low_rank takes energy or size, received both ({energy!r}, {size!r}).")
    flat = _flat(model)
    found = {layer.name: of(layer) for layer in flat.layers}
    factors = {name: each for name, each in found.items() if each is not None}
    if size is None:
        return _ranks(factors, _ENERGY if energy is None else energy)
    return _fitting(factors, flat.count_params(), size)


def _flat(model: keras.Model) -> keras.Model:
    """The model in one level: every layer is seen, has a name of its own, and weights that have singular values."""
    flat = flattened(model)
    check_finite(flat, "low_rank")
    return flat


def _ranks(factors: Mapping[str, Factors], energy: float) -> dict[str, tuple[int, ...]]:
    ranks = {name: each.ranks(energy) for name, each in factors.items()}
    return {name: rank for name, rank in ranks.items() if factors[name].pays(rank)}


def _fitting(factors: Mapping[str, Factors], weights: int, size: float) -> dict[str, tuple[int, ...]]:
    """The ranks of the highest energy at which the model is small enough, by bisection."""

    def left(energy: float) -> float:
        return 1 - sum(factors[name].saved(rank) for name, rank in _ranks(factors, energy).items()) / weights

    low, high = 0.0, 1.0
    if left(low) > size:
        raise InputError(
            f"compress: low_rank(size={size}) cannot be reached: rank 1 everywhere leaves {left(low):.3f} of the "
            f"weights. Ask for at least that, or for another step."
        )
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) <= size else (low, middle)
    return _ranks(factors, low)


def split(model: keras.Model, ranks: Mapping[str, tuple[int, ...]]) -> keras.Model:
    """The model with some of its layers in factors; the others have the same weights.

    Args:
        model: a functional or Sequential model.
        ranks: as `plan` returns them.

    Returns:
        keras.Model: functional, of one level.

    Raises:
        InputError: weights that are no numbers, or a model whose graph cannot be read.
    """
    flat = _flat(model)
    parts = {name: factor(flat.get_layer(name), rank) for name, rank in ranks.items()}

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if operation.name not in parts:
            return operation(*args, **kwargs)
        outputs = args[0] if args else kwargs["inputs"]
        for part in parts[operation.name]:
            outputs = part(outputs)
        return outputs

    smaller = keras.models.clone_model(flat, clone_function=copy_of, call_function=call)
    for layer in flat.layers:
        if layer.name not in parts:
            _fill(smaller.get_layer(layer.name), layer)
    return smaller


def _fill(copy: keras.Layer, layer: keras.Layer) -> None:
    copy.set_weights(layer.get_weights())
    if hasattr(copy, "finalize_state"):  # a Normalization computes with constants made of its weights
        copy.finalize_state()
