"""How each Keras 3 layer is spelled in tf_keras: layer -> tf_keras layers with the same weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import keras
import numpy as np
import tf_keras

from tfmap.compress.hosted import host
from tfmap.errors import InputError

L = tf_keras.layers
WAYS_OUT = (
    "Teach the bridge: tfmap.compress.bridge.register({name}, build); "
    "or use post-training quantisation only, which needs no bridge: python -m tfmap.export RUN export.which=model "
    "export.format=int8"
)
# Activations that both packages define alike; name in Keras 3 -> name in tf_keras.
_ACTIVATIONS = {
    **{name: name for name in ("linear", "relu", "softmax", "sigmoid", "tanh", "gelu", "elu", "selu", "softplus")},
    **{name: name for name in ("softsign", "exponential", "mish")},
    "silu": "swish",
    "swish": "swish",
}
# Those that tfmot can quantise inside a layer; the others come behind it as a layer of their own.
_INSIDE = ("linear", "relu", "softmax", "sigmoid", "tanh")
_RANDOM = ("Random", "MixUp", "CutMix", "AugMix", "RandAugment", "AutoContrast")

Pairs = list[tuple[list, tf_keras.layers.Layer]]


@dataclass(frozen=True)
class Translated:
    """A Keras 3 layer in tf_keras.

    Attributes:
        call: the layer, as a function on symbolic tf_keras tensors.
        pairs: (the Keras 3 variables, the tf_keras layer that carries them in the same order).
    """

    call: Callable[..., Any]
    pairs: Pairs


_registered: dict[type, Callable[[keras.Layer], tf_keras.layers.Layer]] = {}


def register(layer: type[keras.Layer], build: Callable[[keras.Layer], tf_keras.layers.Layer]) -> None:
    """Teach the bridge a custom layer.

    Args:
        layer: the Keras 3 class.
        build: Keras 3 layer -> tf_keras layer that computes the same, with the same weights in the same order.
    """
    _registered[layer] = build


def translate(layer: keras.Layer, name: str) -> Translated:
    """The tf_keras spelling of one layer.

    Args:
        layer: a built Keras 3 layer.
        name: the name for its tf_keras twin.

    Raises:
        InputError: the layer cannot be bridged.
    """
    kind = type(layer).__name__
    if type(layer) in _registered:
        return _single(layer, _renamed(_registered[type(layer)](layer), name))
    if not type(layer).__module__.startswith("keras.") or kind == "Lambda":
        raise _cannot(layer, "it is a Lambda" if kind == "Lambda" else "it is a layer of your own")
    if kind.startswith(_RANDOM) or kind == "Identity":
        return Translated(lambda x, **_: x, [])
    if kind in _SPECIAL:
        return _SPECIAL[kind](layer, name)
    return _generic(layer, name)


def carried(made: Translated, name: str) -> Translated:
    """The same map of a picture behind a 1x1 depthwise convolution of ones that never learns."""
    ones = L.DepthwiseConv2D(1, use_bias=False, depthwise_initializer="ones", trainable=False, name=f"{name}_carrier")
    return Translated(lambda x, **kwargs: made.call(ones(x), **kwargs), made.pairs)


def _cannot(layer: keras.Layer, why: str) -> InputError:
    kind = type(layer).__name__
    return InputError(
        f"compress: layer {layer.name!r} ({kind}) cannot be carried to Keras 2, where pruning and quantisation-aware "
        f"training run: {why}. {WAYS_OUT.format(name=kind)}"
    )


def _generic(layer: keras.Layer, name: str) -> Translated:
    """A layer that tf_keras has under the same name, built from the arguments that both know."""
    twin = getattr(L, type(layer).__name__, None)
    if twin is None and layer.weights:
        raise _cannot(layer, "Keras 2 has no such layer")
    if twin is None:
        return Translated(_guest(layer, name), [])
    config = _config(layer, twin)
    if "activation" not in config:
        return _single(layer, twin(**config, name=name))
    config["activation"], after = _split_activation(layer, name)
    made = twin(**config, name=name)
    return Translated(lambda *args, **kwargs: after(made(*args, **kwargs)), [(layer.weights, made)])


def _single(layer: keras.Layer, made: tf_keras.layers.Layer) -> Translated:
    return Translated(made, [(layer.weights, made)] if layer.weights else [])


def _renamed(layer: tf_keras.layers.Layer, name: str) -> tf_keras.layers.Layer:
    layer._name = name
    return layer


def _config(layer: keras.Layer, twin: type) -> dict:
    """The arguments of `layer` that its twin knows too.

    Weights are copied, so initialisers are dropped. Regularisers and constraints are dropped: fine-tuning is short.
    Frozen layers come out trainable: what is pruned or rounded has to move.
    """
    known = {name for base in twin.__mro__ for name in inspect.signature(base.__init__).parameters}
    unwanted = ("name", "dtype", "trainable", "seed", "build_config")
    ends = ("_initializer", "_regularizer", "_constraint")
    return {k: v for k, v in layer.get_config().items() if k in known and k not in unwanted and not k.endswith(ends)}


def _split_activation(layer: keras.Layer, name: str) -> tuple[str, Callable[[Any], Any]]:
    """(the activation inside the twin, what comes after it): the second does the work where the packages differ."""
    kind = activation_name(layer.activation)
    if kind in _INSIDE:
        return kind, activation("linear", name)
    if kind not in dir(keras.activations):
        raise _cannot(layer, f"its activation {kind!r} is a function of your own")
    return "linear", activation(kind, f"{name}_{kind}")


def activation_name(function: Callable | None) -> str:
    """The Keras name of an activation function."""
    return "linear" if function is None else getattr(function, "__name__", type(function).__name__)


def activation(kind: str, name: str) -> Callable[[Any], Any]:
    """A Keras 3 activation as tf_keras layers, made once, so that a shared Activation layer stays shared.

    tf_keras' hard_sigmoid is another function (0.2 x + 0.5) and it has no hard_silu, so both are spelled out.
    """
    if kind in _ACTIVATIONS:
        return (lambda x: x) if kind == "linear" else L.Activation(_ACTIVATIONS[kind], name=name)
    if kind == "relu6":
        return L.ReLU(6.0, name=name)
    if kind == "leaky_relu":
        return L.LeakyReLU(0.2, name=name)
    if kind == "hard_sigmoid":
        return _hard_sigmoid(name)
    if kind in ("hard_silu", "hard_swish"):
        gate, product = _hard_sigmoid(f"{name}_gate"), L.Multiply(name=name)
        return lambda x: product([x, gate(x)])
    return _guest(keras.activations.get(kind), name)


def _hard_sigmoid(name: str) -> Callable[[Any], Any]:
    add, clip = L.Rescaling(1.0, offset=3.0, name=f"{name}_add"), L.ReLU(6.0, name=f"{name}_relu6")
    divide = L.Rescaling(1 / 6, name=name)
    return lambda x: divide(clip(add(x)))


def _guest(function: Callable, name: str) -> Callable[..., Any]:
    """A stateless Keras 3 function as a guest; every call is a layer of its own."""
    calls = count()

    def call(*args: Any, **kwargs: Any) -> Any:
        number = next(calls)
        return host(function, args, kwargs, name=f"{name}_{number}" if number else name)

    return call


def _activation(layer: keras.Layer, name: str) -> Translated:
    kind = activation_name(layer.activation)
    if kind not in dir(keras.activations):
        raise _cannot(layer, f"its activation {kind!r} is a function of your own")
    apply = activation(kind, name)
    return Translated(lambda x, **_: apply(x), [])


def _leaky_relu(layer: keras.Layer, name: str) -> Translated:
    return Translated(L.LeakyReLU(layer.negative_slope, name=name), [])


def _normalization(layer: keras.Layer, name: str) -> Translated:
    """Mean and variance are constants, so it is a Rescaling; inverted, it is one the other way."""
    if getattr(layer, "mean", None) is None or layer.axis not in ((-1,), (len(layer.mean.shape) - 1,)):
        raise _cannot(layer, "only a Normalization over the last axis, with its mean known, has a twin")
    mean = np.ravel(layer.mean).astype(np.float64)
    deviation = np.maximum(np.sqrt(np.ravel(layer.variance).astype(np.float64)), keras.config.epsilon())
    scale, offset = (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)
    return Translated(L.Rescaling(scale.tolist(), offset=offset.tolist(), name=name), [])


def _separable(layer: keras.Layer, name: str) -> Translated:
    """Depthwise, then 1x1: tfmot's own split makes auto-named layers that collide with copied names."""
    config = _config(layer, L.SeparableConv2D)
    inside, after = _split_activation(layer, name)
    shared = ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate", "data_format")
    depthwise = L.DepthwiseConv2D(**{key: config[key] for key in shared}, use_bias=False, name=f"{name}_depthwise")
    pointwise = L.Conv2D(layer.filters, 1, use_bias=layer.use_bias, activation=inside, name=f"{name}_pointwise")
    pairs = [(layer.weights[:1], depthwise), (layer.weights[1:], pointwise)]
    return Translated(lambda x, **_: after(pointwise(depthwise(x))), pairs)


def _attention(layer: keras.Layer, name: str) -> Translated:
    config = _config(layer, L.MultiHeadAttention)
    return _single(layer, L.MultiHeadAttention(**config, name=name))


_SPECIAL: dict[str, Callable[[keras.Layer, str], Translated]] = {
    "Activation": _activation,
    "LeakyReLU": _leaky_relu,
    "Normalization": _normalization,
    "SeparableConv2D": _separable,
    "MultiHeadAttention": _attention,
}
