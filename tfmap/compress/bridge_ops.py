"""How a Keras 3 operation on tensors (x + y, ops.concatenate, ...) is spelled as a tf_keras layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras
from keras import tree

from tfmap.compress.bridge_activations import activation
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
    made = None if kwargs else _as_layer(operation, args, name)
    if made is not None:
        return made
    number = len(operation._inbound_nodes[0].outputs)
    if number == 1:
        return host(operation, args, kwargs, name=name)
    # tfmot quantises no layer of several outputs.
    return [host(_one_of(operation, i), args, kwargs, name=f"{name}_{i}") for i in range(number)]


def _one_of(operation: Any, index: int) -> Callable[..., Any]:
    """An operation that splits, say, with one of its outputs alone."""
    return lambda *args, **kwargs: tree.flatten(operation(*args, **kwargs))[index]


def _as_layer(operation: Any, args: tuple, name: str) -> Any | None:
    """The layer's output, where there is a layer that does just this."""
    kind = type(operation).__name__
    if len(args) == 2 and kind in (*_MERGE, "Divide", "TrueDivide"):
        return _binary(kind, *args, name=name)
    if not _are_alike(tree.flatten(args)):
        return None
    if kind == "Concatenate":
        return L.Concatenate(axis=operation.axis, name=name)(list(args[0]))
    if kind in _ACTIVATIONS and len(args) == 1:
        return activation(_ACTIVATIONS[kind], name)(args[0])
    if kind == "Mean" and operation.axis in ((1, 2), [1, 2]) and len(args[0].shape) == 4:
        pool = L.GlobalAveragePooling2D(keepdims=operation.keepdims, data_format="channels_last", name=name)
        return pool(args[0])
    return None


def _are_alike(values: list) -> bool:
    """Whether all are float tensors of one dtype, rank and batch size.

    tf_keras averages integers as integers, adds no float to an integer, and lines up a (B, C) with a (B, H, W, C) at
    the batch, where operators line up the last axes.
    """
    if not all(is_symbolic(value) and value.dtype.is_floating for value in values):
        return False
    return len({(value.dtype, len(value.shape), value.shape[0]) for value in values}) == 1


def _binary(kind: str, a: Any, b: Any, *, name: str) -> Any | None:
    """Two tensors of one shape: a merge layer. A tensor and a constant: a Rescaling. Else None."""
    if is_symbolic(a) and is_symbolic(b):
        return getattr(L, kind)(name=name)([a, b]) if kind in _MERGE and _are_alike([a, b]) else None
    tensor, constant = (a, b) if is_symbolic(a) else (b, a)
    constant = np.asarray(constant)
    fractions = tensor.dtype.is_floating or constant.dtype.kind == "f" or kind.endswith("Divide")
    if constant.ndim > 1 or constant.ndim > len(tensor.shape) - 1 or not fractions:
        return None
    affine = _affine(kind, constant.astype(np.float64), tensor_first=is_symbolic(a))
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
