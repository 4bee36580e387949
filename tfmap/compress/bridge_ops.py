"""How a Keras 3 operation on tensors (x + y, ops.concatenate, ...) is spelled as a tf_keras layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras

from tfmap.compress.bridge_layers import activation
from tfmap.compress.hosted import host, is_symbolic

L = tf_keras.layers
_MERGE = ("Add", "Multiply", "Subtract", "Maximum", "Minimum")
_ACTIVATIONS = {
    "Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "silu", "Softplus": "softplus",
    "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu",
}  # fmt: skip


def apply(operation: Any, args: tuple, kwargs: dict, name: str) -> Any:
    """Apply a Keras 3 operation to symbolic tf_keras tensors.

    tfmot knows layers, so what has a layer becomes that layer; the rest runs as a guest (hosted.Hosted).

    Args:
        operation: the keras.Operation of a graph node.
        args: its positional arguments, with tf_keras tensors in place of Keras 3 ones.
        kwargs: its keyword arguments, likewise.
        name: name of the new layer.
    """
    kind = type(operation).__name__
    if len(args) == 2 and not kwargs and kind in (*_MERGE, "Divide", "TrueDivide"):
        merged = _binary(kind, *args, name=name)
        if merged is not None:
            return merged
    if kind == "Concatenate":
        return L.Concatenate(axis=operation.axis, name=name)(list(args[0]))
    if kind in _ACTIVATIONS:
        return activation(_ACTIVATIONS[kind], name)(args[0])
    if kind == "Mean" and operation.axis in ((1, 2), [1, 2]) and len(args[0].shape) == 4:
        return L.GlobalAveragePooling2D(keepdims=operation.keepdims, name=name)(args[0])
    return host(operation, args, kwargs, name=name)


def _binary(kind: str, a: Any, b: Any, *, name: str) -> Any:
    """Two tensors of one shape: a merge layer. A tensor and a constant: a Rescaling. Else None."""
    if is_symbolic(a) and is_symbolic(b):
        return getattr(L, kind)(name=name)([a, b]) if kind in _MERGE else None
    tensor, constant = (a, b) if is_symbolic(a) else (b, a)
    constant = np.asarray(constant, np.float64)
    if constant.ndim > 1:
        return None
    affine = _affine(kind, constant, tensor_first=is_symbolic(a))
    if affine is None:
        return None
    scale, offset = (np.asarray(value).tolist() for value in affine)
    return L.Rescaling(scale, offset=offset, name=name)(tensor)


def _affine(kind: str, constant: np.ndarray, *, tensor_first: bool) -> tuple[Any, Any] | None:
    """(scale, offset) of tensor∘constant, or of constant∘tensor."""
    if kind == "Add":
        return 1.0, constant
    if kind == "Multiply":
        return constant, 0.0
    if kind == "Subtract":
        return (1.0, -constant) if tensor_first else (-1.0, constant)
    if kind in ("Divide", "TrueDivide") and tensor_first:
        return 1.0 / constant, 0.0
    return None
