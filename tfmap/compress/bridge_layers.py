"""How each Keras 3 layer is spelled in tf_keras: layer -> tf_keras layers with the same weights.

What tfmot tells apart by its kind (convolutions, batch norms, poolings ...) becomes its namesake in tf_keras, where the
two are known to agree. Everything else is hosted: the Keras 3 layer itself runs inside the tf_keras model.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tf_keras

from tfmap.compress import bridge_activations
from tfmap.compress.bridge_copies import copy_of
from tfmap.compress.bridge_refusals import cannot, obstacle
from tfmap.compress.bridge_registry import built, is_registered
from tfmap.compress.hosted import Held, Hosted, called, hosted, slotted, weights_of

L = tf_keras.layers
_MERGING = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
# A contract test holds each of them to equal outputs.
TWINS = (
    *("Dense", "Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "DepthwiseConv2D"),
    *("ReLU", "ELU", "PReLU", "Softmax"),
    *_MERGING,
    *("AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D"),
    *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D"),
    *("Cropping1D", "Cropping2D", "Cropping3D", "ZeroPadding2D", "ZeroPadding3D", "UpSampling2D"),
    *("Flatten", "Reshape", "Permute", "RepeatVector"),
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
    *("GaussianNoise", "GaussianDropout", "AlphaDropout"),
)
# At inference they hand on what they get; so does everything called Random...
_IDLE = ("Identity", "ActivityRegularization", "MixUp", "CutMix", "AugMix", "RandAugment")
# The least epsilon of the fused batch norm of TensorFlow is 1.001e-5, whatever is asked for; up to here that is noise.
_FUSED_EPSILON = 1e-5
# Weights are copied, so initialisers do not matter. Regularisers and constraints are dropped: fine-tuning is short.
_UNWANTED = ("name", "dtype", "trainable", "seed", "build_config", "renorm_momentum")
_UNWANTED_ENDS = ("_initializer", "_regularizer", "_constraint")

Pairs = list[tuple[list, tf_keras.layers.Layer]]


@dataclass(frozen=True)
class Translated:
    """A Keras 3 layer in tf_keras.

    Attributes:
        call: the layer, as a function on symbolic tf_keras tensors.
        pairs: (the Keras 3 variables, the tf_keras layer that carries them in the same order); complete after the first
            call.
    """

    call: Callable[..., Any]
    pairs: Pairs = field(default_factory=list)


def translate(layer: keras.Layer, name: str) -> Translated:
    """The tf_keras spelling of one layer.

    Args:
        layer: a built Keras 3 layer.
        name: the name for its tf_keras twin.

    Raises:
        InputError: the layer cannot be bridged.
    """
    _check(layer)
    if is_registered(layer):
        made = built(layer, name)
        return _guest(layer, name) if made is None else _single(layer, made)
    if not _is_plain(layer):
        return _guest(layer, name)
    kind = type(layer).__name__
    if kind in _IDLE or kind.startswith("Random"):
        return Translated(lambda x, **_: x)
    make = _SPECIAL.get(kind, _twin if kind in TWINS else _guest)
    return make(layer, name) or _guest(layer, name)


def _check(layer: keras.Layer) -> None:
    """Raise where a layer, or one in it, cannot cross or cannot be copied: now, not after hours of training."""
    for part in layer._flatten_layers():
        if not is_registered(layer) and not is_registered(part) and obstacle(part):
            raise cannot(part, obstacle(part))
        if type(part).__module__.startswith("keras."):
            bridge_activations.check(part)
    if is_registered(layer):
        copy_of(layer)


def carried(made: Translated, name: str) -> Translated:
    """The same map behind a 1x1 depthwise convolution of ones that never learns; a vector is a picture of one pixel."""
    fixed = {"use_bias": False, "depthwise_initializer": "ones", "data_format": "channels_last", "trainable": False}
    ones = L.DepthwiseConv2D(1, **fixed, name=f"{name}_carrier")

    def call(x: Any, **kwargs: Any) -> Any:
        if x.shape.rank != 2:
            return made.call(ones(x), **kwargs)
        return flat(made.call(ones(pictured(x)), **kwargs))

    pictured, flat = L.Reshape((1, 1, -1), name=f"{name}_pictured"), L.Reshape((-1,), name=f"{name}_flat")
    return Translated(call, made.pairs)


def _is_plain(layer: keras.Layer) -> bool:
    """Whether it gets one float tensor (a merging layer several), channels last and no mask.

    Elsewhere the packages differ: tf_keras averages integers as integers, and loses masks that Keras 3 hands on.
    """
    kind, calls = type(layer).__name__, [node.input_tensors for node in layer._inbound_nodes]
    tensors = [tensor for call in calls for tensor in call]
    if layer.compute_dtype != "float32" or kind not in _MERGING and any(len(call) != 1 for call in calls):
        return False
    if kind != "Rescaling" and any("float" not in tensor.dtype for tensor in tensors):
        return False
    masked = any(getattr(tensor, "_keras_mask", None) is not None for tensor in tensors)
    return not masked and getattr(layer, "data_format", None) != "channels_first"


def _guest(layer: keras.Layer, name: str) -> Translated:
    """The Keras 3 layer itself; preprocessing never augments."""
    fixed = {"training": False} if ".preprocessing." in type(layer).__module__ and layer._call_has_training_arg else {}
    if not layer.weights:
        call = hosted(layer, name)
        return Translated(lambda *args, **kwargs: call(*args, **{**kwargs, **fixed}))
    pairs: Pairs = []

    def call_shared(*args: Any, **kwargs: Any) -> Any:
        tensors, template = slotted(args, {**kwargs, **fixed})
        if not pairs:
            pairs.append((weights_of(layer), Hosted(Held(layer), Held(template), name=name)))
        made = pairs[0][1]
        if repr(made.template.value) != repr(template):
            raise cannot(layer, "it is called in two ways, with different arguments")
        return called(made, tensors)

    return Translated(call_shared, pairs)


def _single(layer: keras.Layer, made: tf_keras.layers.Layer) -> Translated:
    return Translated(made, [(weights_of(layer), made)] if layer.weights else [])


def _twin(layer: keras.Layer, name: str, **more: Any) -> Translated | None:
    """The layer of the same name, where it knows every argument that is set."""
    kind = getattr(L, type(layer).__name__)
    inside, after = bridge_activations.split(layer, name) if hasattr(layer, "activation") else (None, None)
    config = _config(layer, kind)
    if config is None:
        return None
    if inside is None:
        return _single(layer, kind(**config, **more, name=name))
    made = kind(**{**config, "activation": inside}, **more, name=name)
    return Translated(lambda *args, **kwargs: after(made(*args, **kwargs)), [(weights_of(layer), made)])


def _config(layer: keras.Layer, twin: type) -> dict | None:
    """The arguments of `layer` for its twin; None where the twin lacks one that is set.

    Frozen layers come out trainable: what is pruned or rounded has to move.
    """
    config = {
        key: value
        for key, value in layer.get_config().items()
        if key not in _UNWANTED and not key.endswith(_UNWANTED_ENDS)
    }
    known = {name for base in twin.__mro__ for name in inspect.signature(base.__init__).parameters}
    if any(value for key, value in config.items() if key not in known):
        return None
    return {key: value for key, value in config.items() if key in known}


def _activation(layer: keras.Layer, name: str) -> Translated:
    apply = bridge_activations.of(layer, name)
    return Translated(lambda x, **_: apply(x))


def _leaky_relu(layer: keras.Layer, name: str) -> Translated:
    return Translated(L.LeakyReLU(layer.negative_slope, name=name))


def _softmax(layer: keras.Layer, name: str) -> Translated | None:
    return _twin(layer, name) if isinstance(layer.axis, int) else None


def _reshape(layer: keras.Layer, name: str) -> Translated | None:
    return None if None in layer.target_shape else _twin(layer, name)


def _batch_norm(layer: keras.Layer, name: str) -> Translated | None:
    """Batch renormalisation and channels elsewhere stay with Keras 3."""
    if layer.renorm or layer.axis not in (-1, layer.input_spec.ndim - 1):
        return None
    return _twin(layer, name, **({} if layer.epsilon >= _FUSED_EPSILON else {"fused": False}))


def _rescaling(layer: keras.Layer, name: str) -> Translated | None:
    """Built from its attributes: a config holds arrays in a form of Keras 3's own."""
    scale, offset = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
    if max(scale.ndim, offset.ndim) > 1:
        return None
    return Translated(L.Rescaling(scale.tolist(), offset=offset.tolist(), name=name))


def _normalization(layer: keras.Layer, name: str) -> Translated | None:
    """Mean and variance are constants, so it is a Rescaling; inverted, it is one the other way."""
    if layer.mean is None or layer.axis not in ((-1,), (len(layer.mean.shape) - 1,)):
        return None
    mean = np.ravel(layer.mean).astype(np.float64)
    deviation = np.maximum(np.sqrt(np.ravel(layer.variance).astype(np.float64)), keras.config.epsilon())
    scale, offset = (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)
    return Translated(L.Rescaling(scale.tolist(), offset=offset.tolist(), name=name))


def _separable(layer: keras.Layer, name: str) -> Translated | None:
    """Depthwise, then 1x1: tfmot's own split makes auto-named layers that collide with copied names."""
    inside, after = bridge_activations.split(layer, name)
    config = _config(layer, L.SeparableConv2D)
    if config is None:
        return None
    shared = ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate", "data_format")
    depthwise = L.DepthwiseConv2D(**{key: config[key] for key in shared}, use_bias=False, name=f"{name}_depthwise")
    rest = {"use_bias": layer.use_bias, "activation": inside, "data_format": config["data_format"]}
    pointwise = L.Conv2D(layer.filters, 1, **rest, name=f"{name}_pointwise")
    pairs = [(layer.weights[:1], depthwise), (layer.weights[1:], pointwise)]
    return Translated(lambda x, **_: after(pointwise(depthwise(x))), pairs)


_SPECIAL: dict[str, Callable[[keras.Layer, str], Translated | None]] = {
    "Activation": _activation,
    "BatchNormalization": _batch_norm,
    "LeakyReLU": _leaky_relu,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "SeparableConv2D": _separable,
    "Softmax": _softmax,
}
