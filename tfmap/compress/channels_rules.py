"""Which of the channels that a layer receives come out where: one rule for each kind of layer.

A rule returns the channels of the output and notes which axes of which weights run over which channels; or it returns
None where channels cannot be followed, and then they stay. Only what is known to treat channels one by one has a rule.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from tfmap.compress.channels_notes import FOLLOWS, MAKES, READS, Call, Notes

Rule = Callable[[Call, Notes], np.ndarray | None]

_ELEMENTWISE = {
    "linear", "relu", "leaky_relu", "relu6", "elu", "selu", "softplus", "softsign", "soft_shrink", "silu", "squareplus",
    "gelu", "celu", "tanh", "tanh_shrink", "hard_tanh", "hard_shrink", "threshold", "sigmoid", "exponential", "mish",
    "hard_sigmoid", "hard_silu", "log_sigmoid", "sparse_plus", "sparse_sigmoid",
}  # fmt: skip
_WEIGHTS = {"kernel", "bias", "depthwise_kernel", "pointwise_kernel"}


def trace(call: Call, notes: Notes) -> np.ndarray | None:
    """The channels of the output of a call, or None.

    Args:
        call: one call of a Keras layer or operation.
        notes: written to.
    """
    operation = call.operation
    ours = type(operation).__module__.startswith("keras.")
    if not ours or getattr(operation, "data_format", None) == "channels_first":
        return None
    rules = _LAYERS if isinstance(operation, keras.Layer) else _OPERATIONS
    rule = rules.get(type(operation).__name__)
    return rule(call, notes) if rule and all(len(shape) > 1 for shape in call.shapes) else None


def _along(call: Call, notes: Notes) -> np.ndarray | None:
    """Every channel for itself; dropout may draw one number for all of them, but not a number of numbers."""
    noise = getattr(call.operation, "noise_shape", None)
    alone = len(call.inputs) == 1 and (noise is None or noise[-1] in (None, 1))
    return call.inputs[0] if alone else None


def _activation(call: Call, notes: Notes) -> np.ndarray | None:
    return call.inputs[0] if _is_elementwise(call.operation) else None


def _rescaling(call: Call, notes: Notes) -> np.ndarray | None:
    layer = call.operation
    return call.inputs[0] if np.size(layer.scale) == np.size(layer.offset) == 1 else None


def _norm(call: Call, notes: Notes) -> np.ndarray | None:
    layer = call.operation
    if layer.axis not in (-1, call.rank - 1):
        return None
    for weight in layer.weights:
        notes.axis(layer, weight.name, 0, FOLLOWS, call.inputs[0])
    return call.inputs[0]


def _prelu(call: Call, notes: Notes) -> np.ndarray | None:
    slopes = call.operation.alpha.shape
    if slopes[-1] != 1:
        notes.axis(call.operation, "alpha", len(slopes) - 1, FOLLOWS, call.inputs[0])
    return call.inputs[0]


def _convolution(call: Call, notes: Notes) -> np.ndarray | None:
    layer = call.operation
    return _summed(call, notes, layer.rank, layer.rank + 1) if layer.groups == 1 else None


def _transposed(call: Call, notes: Notes) -> np.ndarray | None:
    rank = call.operation.rank
    return _summed(call, notes, rank + 1, rank)


def _dense(call: Call, notes: Notes) -> np.ndarray | None:
    return _summed(call, notes, 0, 1)


def _summed(call: Call, notes: Notes, reads: int, makes: int) -> np.ndarray | None:
    """A kernel that sums over the channels of its input."""
    layer = call.operation
    if not _is_plain(layer):
        return None
    made = _made(layer, notes)
    notes.axis(layer, "kernel", reads, READS, call.inputs[0])
    notes.axis(layer, "kernel", makes, MAKES, made)
    return made


def _made(layer: keras.Layer, notes: Notes) -> np.ndarray:
    size = "units" if hasattr(layer, "units") else "filters"
    made = notes.made(layer, getattr(layer, size))
    if layer.use_bias:
        notes.axis(layer, "bias", 0, FOLLOWS, made)
    notes.size(layer, size, made)
    return made if _is_elementwise(layer) else notes.keep(made)


def _depthwise(call: Call, notes: Notes) -> np.ndarray | None:
    layer = call.operation
    if not _is_plain(layer) or not _is_elementwise(layer):
        return None
    out = np.repeat(call.inputs[0], layer.depth_multiplier)
    notes.axis(layer, "kernel", layer.rank, FOLLOWS, call.inputs[0])
    if layer.use_bias:
        notes.axis(layer, "bias", 0, FOLLOWS, out)
    return out


def _separable(call: Call, notes: Notes) -> np.ndarray | None:
    layer = call.operation
    if not _is_plain(layer):
        return None
    made = _made(layer, notes)
    notes.axis(layer, "depthwise_kernel", layer.rank, FOLLOWS, call.inputs[0])
    notes.axis(layer, "pointwise_kernel", layer.rank, READS, np.repeat(call.inputs[0], layer.depth_multiplier))
    notes.axis(layer, "pointwise_kernel", layer.rank + 1, MAKES, made)
    return made


def _merge(call: Call, notes: Notes) -> np.ndarray | None:
    """Sums and products tie channels; a map of one channel that meets many of them stays."""
    scalars = [value for value in call.constants if np.size(value) == 1]
    if len({len(shape) for shape in call.shapes}) > 1 or len(call.constants) > len(scalars[:1]):
        return None
    wide = max(call.inputs, key=len)
    for channels in call.inputs:
        if len(channels) == len(wide):
            notes.tie(wide, channels)
        else:
            notes.keep(channels)
    return wide


def _concatenated(call: Call, notes: Notes) -> np.ndarray | None:
    if call.constants:
        return None
    if call.operation.axis in (-1, call.rank - 1):
        return np.concatenate(call.inputs)
    for channels in call.inputs:
        notes.tie(call.inputs[0], channels)
    return call.inputs[0]


def _flattened(call: Call, notes: Notes) -> np.ndarray | None:
    """Move the channels of every place as the values move; what comes out must be the same at every place."""
    before, after = call.shapes[0][1:], call.output[1:]
    if not after or None in (*before, *after):
        return None
    rows = np.broadcast_to(call.inputs[0], before).reshape(-1, after[-1])
    return rows[0] if (rows == rows[0]).all() else None


def _reshaped(call: Call, notes: Notes) -> np.ndarray | None:
    channels = _flattened(call, notes)
    if channels is not None and call.operation.target_shape[-1] != -1:
        notes.size(call.operation, "target_shape", channels)
    return channels


def _permuted(call: Call, notes: Notes) -> np.ndarray | None:
    return call.inputs[0] if call.operation.dims[-1] == call.rank - 1 else None


def _reduced(call: Call, notes: Notes) -> np.ndarray | None:
    axes = call.operation.axis
    return None if axes is None or (call.rank - 1) in [axis % call.rank for axis in axes] else call.inputs[0]


def _is_plain(layer: keras.Layer) -> bool:
    """No weights that have no rule, such as those of a quantised layer."""
    return {weight.name for weight in layer.weights} <= _WEIGHTS


def _is_elementwise(layer: keras.Layer) -> bool:
    function = layer.activation
    if function is None:
        return True
    ours = getattr(function, "__module__", "").startswith("keras.")
    return ours and getattr(function, "__name__", "") in _ELEMENTWISE


def _ranks(*names: str, end: str = "") -> list[str]:
    return [f"{name}{rank}D{end}" for name in names for rank in (1, 2, 3)]


_SPATIAL = _ranks(
    "ZeroPadding", "Cropping", "UpSampling", "MaxPooling", "AveragePooling", "GlobalMaxPooling", "SpatialDropout",
    "GlobalAveragePooling", "AdaptiveMaxPooling", "AdaptiveAveragePooling",
)  # fmt: skip
_SINGLE = (
    "Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization", "Identity", "Resizing",
    "RepeatVector", "ReLU", "LeakyReLU", "ELU",
)  # fmt: skip
_LAYERS: dict[str, Rule] = {
    **dict.fromkeys((*_SINGLE, *_SPATIAL), _along),
    **dict.fromkeys(_ranks("Conv"), _convolution),
    **dict.fromkeys(_ranks("Conv", end="Transpose"), _transposed),
    **dict.fromkeys(_ranks("DepthwiseConv"), _depthwise),
    **dict.fromkeys(_ranks("SeparableConv"), _separable),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average"), _merge),
    "Activation": _activation,
    "PReLU": _prelu,
    "Rescaling": _rescaling,
    "BatchNormalization": _norm,
    "Dense": _dense,
    "CustomScaleLayer": _merge,  # the scaled sum of Inception-ResNet
    "Concatenate": _concatenated,
    "Flatten": _flattened,
    "Reshape": _reshaped,
    "Permute": _permuted,
}
_UNARY = (
    "Relu", "ReLU", "Relu6", "Sigmoid", "Softplus", "Softsign", "Silu", "HardSigmoid", "HardSilu", "Elu", "Selu",
    "Gelu", "Celu", "LeakyRelu", "Tanh", "Mish", "Negative", "Absolute", "Abs", "Square", "Sqrt", "Exp",
)  # fmt: skip
_OPERATIONS: dict[str, Rule] = {
    **dict.fromkeys(_UNARY, _along),
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Divide", "TrueDivide"), _merge),
    **dict.fromkeys(("Mean", "Max"), _reduced),
    "Concatenate": _concatenated,
}
