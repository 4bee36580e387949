"""Custom layers that the bridge was taught."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tf_keras

from tfmap.compress.hosted import weights_of
from tfmap.errors import InputError

Build = Callable[[keras.Layer], tf_keras.layers.Layer]
_registered: dict[type, Build | None] = {}
# What two builds of one formula may differ by, relative to the largest output.
_TOLERANCE = 1e-3


def register(layer: type[keras.Layer], build: Build | None = None) -> None:
    """Teach the bridge a custom layer.

    Args:
        layer: the Keras 3 class.
        build: Keras 3 layer -> tf_keras layer that computes the same, with the same weights in the same order, those
            that learn first. None runs the Keras 3 layer itself inside the tf_keras model; its weights learn, and are
            neither pruned nor quantised.
    """
    _registered[layer] = build


def is_registered(layer: keras.Layer) -> bool:
    """Whether the bridge was taught this layer."""
    return type(layer) in _registered


def built(layer: keras.Layer, name: str) -> tf_keras.layers.Layer | None:
    """The tf_keras layer that the user's `build` makes; None where the layer is to run as it is.

    Args:
        layer: a registered layer.
        name: for the tf_keras layer.

    Raises:
        InputError: what was built is no tf_keras layer, has other weights or answers otherwise than `layer`.
    """
    build = _registered[type(layer)]
    if build is None:
        return None
    made = build(layer)
    if not isinstance(made, tf_keras.layers.Layer):
        raise InputError(f"{_who(layer)} made a {type(made).__name__}; expected a tf_keras.layers.Layer.")
    made._name = name
    given = _example(layer)
    if given is not None:
        _check_answer(layer, made, given)
    return made


def check_fit(variables: Sequence, weights: Sequence, name: str) -> None:
    """Raise unless a layer and its twin have weights of the same shapes.

    Args:
        variables: of the Keras 3 layer.
        weights: of the tf_keras layer.
        name: of the layer.
    """
    here, there = ([tuple(weight.shape) for weight in side] for side in (variables, weights))
    if here != there:
        raise InputError(
            f"compress: layer {name!r} has weights of the shapes {here} in Keras 3 and {there} in tf_keras; expected "
            "the same. Was it bridged from this model, and does what was given to bridge.register keep all weights?"
        )


def _example(layer: keras.Layer) -> np.ndarray | None:
    """A random input, where the layer takes one float tensor."""
    tensors = layer._inbound_nodes[0].input_tensors if layer._inbound_nodes else []
    if len(tensors) != 1 or "float" not in tensors[0].dtype:
        return None
    shape = [size or 4 for size in tensors[0].shape]
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _check_answer(layer: keras.Layer, made: tf_keras.layers.Layer, given: np.ndarray) -> None:
    made(given)
    check_fit(weights_of(layer), made.weights, layer.name)
    made.set_weights([np.asarray(weight) for weight in weights_of(layer)])
    training = {"training": False} if layer._call_has_training_arg else {}
    expected, received = np.asarray(layer(given, **training)), np.asarray(made(given))
    off = np.abs(received - expected).max() if received.shape == expected.shape else np.inf
    if off > _TOLERANCE * np.abs(expected).max():
        raise InputError(f"{_who(layer)} made answers otherwise: up to {off:.3g} apart. Expected equal outputs.")


def _who(layer: keras.Layer) -> str:
    kind = type(layer).__name__
    return f"compress: layer {layer.name!r}: what the build function of bridge.register({kind}, build)"
