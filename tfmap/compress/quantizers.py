"""Which fake quantiser stands behind which layer, and how its range is learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import tensorflow as tf
import tf_keras

from tfmap.compress import fake_quantizers
from tfmap.compress.legacy import tfmot

_PICTURE = (0.0, 255.0)
_NOTHING = (0.0, 0.0)  # a range that has not seen a batch
_OURS = (
    fake_quantizers.OutputOnly,
    fake_quantizers.FixedRange,
    fake_quantizers.MovingRange,
    fake_quantizers.ChannelQuantizer,
    fake_quantizers.FixedChannel,
)
# Activations that tfmot knows how to quantise.
_ACTIVATIONS = ("linear", "relu", "relu6", "softmax", "sigmoid", "tanh", "swish", "gelu")


def default_scheme() -> Any:
    """tfmot's int8 scheme: weights per channel and symmetric, activations per tensor."""
    return _tfmot("quantization.keras.default_8bit.default_8bit_quantize_scheme").Default8BitQuantizeScheme()


def config_of(layer: tf_keras.layers.Layer, registries: Sequence[Any]) -> Any:
    """How to quantise a layer; None leaves it to the scheme.

    Args:
        layer: a bridged layer.
        registries: of the default scheme, and of the scheme in use, which may know fewer layers.
    """
    default, used = registries
    unknown = isinstance(layer, tf_keras.layers.Activation) and layer.activation.__name__ not in _ACTIVATIONS
    if default.supports(layer) and not unknown:
        return None if used.supports(layer) else default.get_quantize_config(layer)
    return fake_quantizers.OutputOnly()


def scope() -> dict[str, type]:
    """The names under which tfmot finds our classes, and one of its own that it forgets."""
    registry = _tfmot("quantization.keras.default_8bit.default_8bit_quantize_registry")
    forgotten = registry.Default8BitConvTransposeQuantizeConfig
    return {**{made.__name__: made for made in _OURS}, forgotten.__name__: forgotten}


def refine(model: tf_keras.Model, fixed: Mapping[str, tuple[float, float]], carriers: Sequence[str]) -> None:
    """Replace what tfmot's quantisers do badly in a short training.

    Every range starts at what the first training batch shows, and the input's is 0..255; depthwise kernels get a range
    per channel, as in the file (tfmot has one for all: 2 points of accuracy on MobileNetV1-0.25).

    Args:
        model: what tfmot's quantize_apply returned.
        fixed: name of a constant layer, such as the scale of the pictures -> the range of its output.
        carriers: names of the depthwise convolutions of ones.
    """
    for layer in model.layers:
        name = getattr(getattr(layer, "layer", None), "name", "")
        _per_channel(layer)
        if name in carriers:
            _distinct(layer, carriers.index(name))
        if name in fixed or name in carriers:
            _freeze(layer)  # last, as tf_keras lists every variable that is assigned as one to train
        known = fixed.get(name)
        quantizer = fake_quantizers.FixedRange() if known else fake_quantizers.MovingRange()
        if getattr(layer, "_output_quantizers", None):
            layer._output_quantizers = [quantizer]
            _assign(layer._output_quantizer_vars, *(known or _NOTHING))
        for activation in getattr(layer, "_quantize_activations", ()):
            activation.quantizer = quantizer
            for side in ("_pre_activation_vars", "_post_activation_vars"):
                _assign(getattr(activation, side, None), *(known or _NOTHING))
        if hasattr(layer, "quantizer_vars"):  # the input
            layer.quantizer = fake_quantizers.FixedRange()
            _assign(layer.quantizer_vars, *_PICTURE)


def measure_kernels(model: tf_keras.Model) -> None:
    """Bring the ranges of kernels up to date: tfmot takes them before the step that moves the kernel."""
    for layer in model.layers:
        for kernel, quantizer, variables in getattr(layer, "_weight_vars", ()):
            quantizer(kernel, True, variables)


def _freeze(wrapper: Any) -> None:
    """tfmot forgets that a layer is frozen, and lets its kernel learn even where it is told again."""
    wrapper.layer.trainable = False
    wrapper._non_trainable_weights.extend(wrapper._trainable_weights)
    wrapper._trainable_weights.clear()


def _per_channel(wrapper: Any) -> None:
    """Give a depthwise kernel (h, w, C, 1) a range per channel C."""
    if type(getattr(wrapper, "layer", None)) is not tf_keras.layers.DepthwiseConv2D or not wrapper._weight_vars:
        return
    ((kernel, _, _),) = wrapper._weight_vars
    if kernel.shape[-1] != 1:
        return
    low, high = (
        wrapper.add_weight(name=f"depthwise_channel_{end}", shape=(kernel.shape[-2],), trainable=False)
        for end in ("min", "max")
    )
    wrapper._weight_vars = [(kernel, fake_quantizers.ChannelQuantizer(), {"min_var": low, "max_var": high})]


def _distinct(carrier: Any, number: int) -> None:
    """Store the ones of this carrier as 127 - number, with a scale to match.

    The converter folds a norm into the scale of its carrier's kernel in place, and takes equal constants for one: with
    127 everywhere, each carrier would get the product of all norms (seen in ResNet50V2, TensorFlow 2.21).
    """
    ((kernel, _, variables),) = carrier._weight_vars
    reach = 127 / (127 - number % 100)
    _assign(variables, tf.fill(variables["min_var"].shape, -reach), tf.fill(variables["min_var"].shape, reach))
    carrier._weight_vars = [(kernel, fake_quantizers.FixedChannel(), variables)]


def _assign(variables: dict[str, tf.Variable] | None, low: Any, high: Any) -> None:
    if variables is not None:
        variables["min_var"].assign(low)
        variables["max_var"].assign(high)


def _tfmot(path: str) -> ModuleType:
    """A module of tfmot that its public face does not show."""
    import importlib

    tfmot()
    return importlib.import_module(f"tensorflow_model_optimization.python.core.{path}")
