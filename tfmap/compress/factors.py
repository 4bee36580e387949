"""A layer in factors: singular values of a matrix of weights, Tucker-2 of a spatial kernel, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True)
class Factors:
    """How one layer can be split.

    Attributes:
        shape: of its kernel, (in, out) or (h, w, in, out).
        squares: squared singular values in descending order, of the matrix; or of the inputs' and the outputs' side.
        stride: input pixels per output pixel, where the layer is spatial: its first factor sees them all.
    """

    shape: tuple[int, ...]
    squares: tuple[np.ndarray, ...]
    stride: int

    def ranks(self, energy: float) -> tuple[int, ...]:
        """The lowest ranks that keep a share of the squared norm; two sides lose at most the sum of their losses.

        Args:
            energy: the share, in [0, 1].
        """
        each = 1 - (1 - energy) / len(self.squares)
        kept = [np.cumsum(square) / max(square.sum(), np.finfo(float).tiny) for square in self.squares]
        return tuple(min(int(np.searchsorted(share, each - 1e-12)) + 1, len(share)) for share in kept)

    def weights(self, ranks: tuple[int, ...], *, stride: int = 1) -> int:
        """Weights of the factors, or multiply-adds per output pixel with the stride."""
        inputs, outputs = self.shape[-2:]
        if len(ranks) == 1:
            return ranks[0] * (inputs + outputs)
        first, last = ranks
        return stride * inputs * first + prod(self.shape[:2]) * first * last + last * outputs

    def saved(self, ranks: tuple[int, ...]) -> int:
        """Weights that the model has less."""
        return prod(self.shape) - self.weights(ranks)

    def pays(self, ranks: tuple[int, ...]) -> bool:
        """Whether there are fewer multiply-adds and fewer weights than before."""
        return max(self.weights(ranks, stride=self.stride), self.weights(ranks)) < prod(self.shape)


def of(layer: keras.Layer) -> Factors | None:
    """How a layer can be split; None where it cannot.

    Args:
        layer: of a built model, part of its graph and not of another layer.
    """
    if type(layer) not in (keras.layers.Dense, keras.layers.Conv2D) or not layer._inbound_nodes:
        return None
    if type(layer) is keras.layers.Conv2D and (layer.groups != 1 or layer.data_format != "channels_last"):
        return None
    kernel = np.asarray(layer.kernel, np.float64)
    if _is_spatial(kernel.shape):
        sides = (_unfolded(kernel, 2), _unfolded(kernel, 3))
        squares = tuple(np.linalg.eigvalsh(side @ side.T)[::-1].clip(0) for side in sides)
        return Factors(kernel.shape, squares, prod(layer.strides))
    singular = np.linalg.svd(kernel.reshape(kernel.shape[-2:]), compute_uv=False)
    return Factors(kernel.shape, (singular**2,), 1)


def factor(layer: keras.Layer, ranks: tuple[int, ...]) -> list[keras.Layer]:
    """Built layers that, one after the other, stand for a layer.

    Args:
        layer: one that `of` knows.
        ranks: (rank,) of a matrix, (rank of inputs, rank of outputs) of a spatial kernel.
    """
    kernel = np.asarray(layer.kernel, np.float64)
    if _is_spatial(kernel.shape):
        return _tucker_layers(layer, tucker(kernel, *ranks))
    first, last = svd(kernel.reshape(kernel.shape[-2:]), *ranks)
    if type(layer) is keras.layers.Dense:
        before = keras.layers.Dense(ranks[0], **_narrow(layer, "in"))
        return [_with(before, first), _with(_last(layer), last, layer.bias)]
    before = keras.layers.Conv2D(ranks[0], 1, strides=layer.strides, **_narrow(layer, "in"))
    return [_with(before, first[None, None]), _with(_last(layer), last[None, None], layer.bias)]


def svd(matrix: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest product of two narrow matrices (Eckart and Young, 1936).

    Args:
        matrix: (in, out).
        rank: 1 to min(in, out).

    Returns:
        (in, rank) and (rank, out), the singular values shared evenly.
    """
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    root = np.sqrt(singular[:rank])
    return left[:, :rank] * root, root[:, None] * right[:rank]


def tucker(kernel: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tucker-2 by higher-order SVD (De Lathauwer et al., 2000).

    Args:
        kernel: (h, w, in, out).
        first: rank of the inputs.
        last: rank of the outputs.

    Returns:
        (in, first), (h, w, first, last), (last, out).
    """
    inputs, outputs = (_leading(_unfolded(kernel, axis), rank) for axis, rank in ((2, first), (3, last)))
    return inputs, np.einsum("hwio,ir,os->hwrs", kernel, inputs, outputs), outputs.T


def _leading(side: np.ndarray, rank: int) -> np.ndarray:
    """The leading left singular vectors of (n, m), (n, rank)."""
    return np.linalg.eigh(side @ side.T)[1][:, ::-1][:, :rank]


def _unfolded(kernel: np.ndarray, axis: int) -> np.ndarray:
    """(size of the axis, all others)."""
    return np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)


def _is_spatial(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and prod(shape[:2]) > 1


def _tucker_layers(layer: Any, parts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> list[keras.Layer]:
    inputs, core, outputs = parts
    before = keras.layers.Conv2D(inputs.shape[1], 1, **_narrow(layer, "in"))
    shared = {"strides": layer.strides, "padding": layer.padding, "dilation_rate": layer.dilation_rate}
    middle = keras.layers.Conv2D(core.shape[3], core.shape[:2], **shared, **_narrow(layer, "core"))
    kernels = ((before, inputs[None, None]), (middle, core))
    return [*(_with(part, kernel) for part, kernel in kernels), _with(_last(layer), outputs[None, None], layer.bias)]


def _narrow(layer: Any, end: str) -> dict[str, Any]:
    """Arguments of a factor that nothing is added to."""
    return {"use_bias": False, "name": f"{layer.name}_{end}", "dtype": layer.dtype_policy}


def _last(layer: Any) -> keras.Layer:
    """What gives the old layer's outputs, under its name."""
    shared = {
        "activation": layer.activation,
        "use_bias": layer.use_bias,
        "name": layer.name,
        "dtype": layer.dtype_policy,
    }
    if type(layer) is keras.layers.Dense:
        return keras.layers.Dense(layer.units, **shared)
    return keras.layers.Conv2D(layer.filters, 1, **shared)


def _with(layer: Any, kernel: np.ndarray, bias: Any = None) -> keras.Layer:
    """The layer, built, with these weights."""
    layer.build((None,) * (kernel.ndim - 1) + (kernel.shape[-2],))
    layer.set_weights([kernel.astype(np.float32), *([] if bias is None else [np.asarray(bias)])])
    return layer
