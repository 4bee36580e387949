"""Which fake quantiser stands behind which layer, and how its range is learnt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from tfmap.compress import fake_quantizers
from tfmap.compress.fusions import KERNELS
from tfmap.compress.guests import RoundedGuest
from tfmap.compress.legacy import tfmot
from tfmap.compress.walk import bare, called, walk

L = tf_keras.layers
PICTURE = (0.0, 255.0)
_NOTHING = (0.0, 0.0)  # a range that has not seen a batch
# Activations that tfmot knows how to quantise.
_ACTIVATIONS = ("linear", "relu", "relu6", "softmax", "sigmoid", "tanh", "swish", "gelu")
_DROPOUT = (L.Dropout, L.SpatialDropout1D, L.SpatialDropout2D, L.SpatialDropout3D)


def default_scheme() -> Any:
    """tfmot's int8 scheme: which layers it knows, and where it folds norms."""
    return _tfmot("quantization.keras.default_8bit.default_8bit_quantize_scheme").Default8BitQuantizeScheme()


def config_of(layer: tf_keras.layers.Layer, registry: Any) -> Any:
    """How to quantise a layer; None leaves it to the scheme.

    Args:
        layer: a bridged layer.
        registry: of the scheme.
    """
    if type(layer) is L.AveragePooling2D:
        return kernel_only(layer)  # its kernel in a file gives values in the range of what it reads, and so must it
    unknown = isinstance(layer, L.Activation) and layer.activation.__name__ not in _ACTIVATIONS
    return None if registry.supports(layer) and not unknown else fake_quantizers.OutputOnly()


def kernel_only(layer: tf_keras.layers.Layer) -> Any:
    """How to quantise a layer of `fusions.silent`: its kernel, if it has one, not what it gives.

    Args:
        layer: a bridged layer.
    """
    attributes = [KERNELS[type(layer)]] if type(layer) in KERNELS else []
    registry = _tfmot("quantization.keras.default_8bit.default_8bit_quantize_registry")
    return registry.Default8BitQuantizeConfig(attributes, [], False)


def scope() -> dict[str, type]:
    """The names under which tfmot finds our classes, and one of its own that it forgets."""
    registry = _tfmot("quantization.keras.default_8bit.default_8bit_quantize_registry")
    made = (fake_quantizers.OutputOnly, registry.Default8BitConvTransposeQuantizeConfig)
    return {kind.__name__: kind for kind in made}


def refine(
    model: tf_keras.Model,
    reaches: Mapping[str, tuple[float, float] | None],
    factors: Mapping[str, Any],
    carriers: Collection[str],
) -> fake_quantizers.CalibratedRange:
    """Replace what tfmot's quantisers do badly in a short training.

    The input's range is 0..255, the others wait for `calibrate`; depthwise kernels get a range per channel,
    as in the file (tfmot has one for all: 2 points of accuracy on MobileNetV1-0.25).

    Args:
        model: what tfmot's quantize_apply returned.
        reaches: name of a constant layer, such as the scale of the pictures -> the range of its output, None where
            that has to be calibrated.
        factors: name of a convolution -> what the file's kernel is multiplied with.
        carriers: names of the depthwise convolutions of ones.

    Returns:
        what all ranges of activations listen to.
    """
    ranges, encodings = fake_quantizers.CalibratedRange(), fake_quantizers.Encodings()
    for layer in model.layers:
        name = bare(layer).name
        _refine_kernel(layer, factors.get(name, 1.0))
        if name in carriers:
            _hold_ones(layer, encodings)
        if name in reaches or name in carriers:
            _freeze(layer)  # last, as tf_keras lists every variable that is assigned as one to train
        if isinstance(bare(layer), RoundedGuest):
            bare(layer).ranges = ranges
        known = reaches.get(name)
        quantizer = fake_quantizers.FixedRange() if known else ranges
        if getattr(layer, "_output_quantizers", None):
            layer._output_quantizers = [quantizer]
            _assign(layer._output_quantizer_vars, *(known or _NOTHING))
        for activation in getattr(layer, "_quantize_activations", ()):
            activation.quantizer = quantizer
            for side in ("_pre_activation_vars", "_post_activation_vars"):
                _assign(getattr(activation, side, None), *(known or _NOTHING))
        if hasattr(layer, "quantizer_vars"):  # the input
            layer.quantizer = fake_quantizers.FixedRange()
            _assign(layer.quantizer_vars, *PICTURE)
    return ranges


def calibrate(model: tf_keras.Model, ranges: fake_quantizers.CalibratedRange, batches: Iterable[tf.Tensor]) -> None:
    """Read the ranges of activations off pictures; the statistics of norms have to be frozen.

    Args:
        model: what `refine` was given.
        ranges: what it returned.
        batches: float32 (B, H, W, C), typical pictures.
    """

    def learn(layer: Any, args: tuple, kwargs: dict) -> Any:
        _make_room(layer, args)
        return called(layer, args, kwargs, training=not isinstance(bare(layer), _DROPOUT))

    for number, images in enumerate(batches, 1):
        ranges.listen(1 / number)
        walk(model, images, learn)
    ranges.listen(0.0)
    measure_kernels(model)


def _make_room(wrapper: Any, args: tuple) -> None:
    """For the bias of a layer, in what its kernel is rounded to."""
    bias = getattr(bare(wrapper), "bias", None)
    for kernel, quantizer, _ in getattr(wrapper, "_weight_vars", ()):
        if bias is not None:
            quantizer.make_room(kernel, tf.convert_to_tensor(bias), args[0])


def kernels(model: tf_keras.Model) -> list[tf.Variable]:
    """The kernels that learn."""
    found = [(layer, kernel) for layer in model.layers for kernel, _, _ in getattr(layer, "_weight_vars", ())]
    return [kernel for layer, kernel in found if layer.layer.trainable]


def measure_kernels(model: tf_keras.Model) -> None:
    """Bring the stored ranges of kernels up to date."""
    for layer in model.layers:
        for kernel, quantizer, variables in getattr(layer, "_weight_vars", ()):
            quantizer.measure(kernel, variables)


def round_kernels(model: tf_keras.Model) -> None:
    """Leave in the kernels what the file will hold: the norms behind them have been fitted to that."""
    measure_kernels(model)
    for layer in model.layers:
        for kernel, quantizer, variables in getattr(layer, "_weight_vars", ()):
            kernel.assign(quantizer.rounded(kernel, variables))


def _freeze(wrapper: Any) -> None:
    """tfmot forgets that a layer is frozen, and lets its kernel learn even where it is told again."""
    wrapper.layer.trainable = False
    wrapper._non_trainable_weights.extend(wrapper._trainable_weights)
    wrapper._trainable_weights.clear()


def _refine_kernel(wrapper: Any, factor: Any) -> None:
    """Give a kernel our quantiser, and variables of the shape of its ranges."""
    if not getattr(wrapper, "_weight_vars", None):
        return
    ((kernel, _, variables),) = wrapper._weight_vars
    quantizer = _quantizer(wrapper.layer, kernel)
    quantizer.factor = np.reshape(np.asarray(factor, np.float32), (-1, 1))
    reach = quantizer.reach(kernel)
    if variables["min_var"].shape != reach.shape:
        low, high = (
            wrapper.add_weight(name=f"channel_{end}", shape=reach.shape, trainable=False) for end in ("min", "max")
        )
        variables = {"min_var": low, "max_var": high}
    wrapper._weight_vars = [(kernel, quantizer, variables)]
    quantizer.measure(kernel, variables)


def _quantizer(layer: tf_keras.layers.Layer, kernel: tf.Variable) -> fake_quantizers.KernelQuantizer:
    """For the layout of a layer's kernel."""
    if type(layer) is L.Conv2DTranspose:  # (h, w, out, in); a file has one scale
        return fake_quantizers.KernelQuantizer((0, 1, 3, 2), per_channel=False)
    if type(layer) is L.Dense:  # the converter turns dense kernels round and loses the axis of a scale per channel
        return fake_quantizers.KernelQuantizer(per_channel=False)
    if type(layer) is L.DepthwiseConv2D:  # (h, w, C, multiplier)
        return fake_quantizers.KernelQuantizer((0, 1, 3, 2) if kernel.shape[-1] == 1 else None)
    return fake_quantizers.KernelQuantizer()


def _hold_ones(carrier: Any, encodings: fake_quantizers.Encodings) -> None:
    """Give a carrier the quantiser that tells its uses apart."""
    ((kernel, quantizer, variables),) = carrier._weight_vars
    carrier._weight_vars = [(kernel, fake_quantizers.Ones(quantizer.order, encodings), variables)]


def _assign(variables: dict[str, tf.Variable] | None, low: Any, high: Any) -> None:
    if variables is not None:
        variables["min_var"].assign(low)
        variables["max_var"].assign(high)


def _tfmot(path: str) -> ModuleType:
    """A module of tfmot that its public face does not show."""
    import importlib

    tfmot()
    return importlib.import_module(f"tensorflow_model_optimization.python.core.{path}")
