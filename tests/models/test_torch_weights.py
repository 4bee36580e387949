"""PyTorch's old file format, written here by hand, so that no test needs PyTorch."""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
from keras import layers

from tfmap import InputError, models
from tfmap.models import torch_weights


class _Tensor:
    def __init__(self, array):
        self.array = np.ascontiguousarray(array)


def write(path, arrays, monkeypatch):
    """A state dict as PyTorch before 1.6 wrote it: pickles, then for every storage its length and its bytes."""
    stand_in = types.ModuleType("torch")
    stand_in.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    stand_in._utils = types.ModuleType("torch._utils")
    exec("def _rebuild_tensor_v2(*args): ...", stand_in._utils.__dict__)
    stand_in._utils._rebuild_tensor_v2.__module__ = "torch._utils"
    monkeypatch.setitem(sys.modules, "torch", stand_in)
    monkeypatch.setitem(sys.modules, "torch._utils", stand_in._utils)

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if isinstance(thing, np.ndarray):
                return ("storage", stand_in.FloatStorage, str(id(thing)), "cpu", thing.size, None)
            return None

        def reducer_override(self, thing):
            if not isinstance(thing, _Tensor):
                return NotImplemented
            strides = tuple(step // thing.array.itemsize for step in thing.array.strides)
            arguments = (thing.array, 0, thing.array.shape, strides, False, OrderedDict())
            return stand_in._utils._rebuild_tensor_v2, arguments

    tensors = OrderedDict((name, _Tensor(array.astype("<f4"))) for name, array in arrays.items())
    file = io.BytesIO()
    for header in (torch_weights._MAGIC, 1001, {"little_endian": True}):
        pickle.dump(header, file, protocol=2)
    Pickler(file, protocol=2).dump(tensors)
    storages = [tensor.array for tensor in tensors.values()]
    pickle.dump([str(id(array)) for array in storages], file, protocol=2)
    for array in storages:
        file.write(np.int64(array.size).tobytes() + array.tobytes())
    path.write_bytes(file.getvalue())


def test_reads_arrays(tmp_path, monkeypatch):
    arrays = {"a": np.arange(24.0).reshape(2, 3, 4), "b": np.array([1.5])}
    write(tmp_path / "w.pth", arrays, monkeypatch)
    found = torch_weights.read(tmp_path / "w.pth")
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], arrays["a"])
    np.testing.assert_array_equal(found["b"], arrays["b"])


def as_torch(model):
    """The weights of one of our EfficientNet-Lite models under PyTorch's names and layouts."""
    arrays = {}
    for layer in model.layers:
        name, weights = torch_weights._torch_name(layer.name), layer.get_weights()
        if isinstance(layer, layers.BatchNormalization):
            arrays |= {
                f"{name}.{k}": w
                for k, w in zip(("weight", "bias", "running_mean", "running_var"), weights, strict=True)
            }
        elif weights:
            axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (3, 2, 0, 1)
            arrays[f"{name}.weight"] = weights[0].transpose(axes)
    return arrays


def test_efficientnet_lite_takes_them(tmp_path, backbone, monkeypatch):
    source = backbone("efficientnet_lite0")
    arrays = as_torch(source)
    assert arrays["_blocks.1._depthwise_conv.weight"].shape == (96, 1, 3, 3)
    write(tmp_path / "w.pth", arrays, monkeypatch)
    loaded = models.build("efficientnet_lite0", input_shape=(64, 64, 3), weights=str(tmp_path / "w.pth"))
    for ours, theirs in zip(loaded.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_array_that_is_missing(tmp_path, backbone, monkeypatch):
    write(tmp_path / "w.pth", {"_conv_stem.weight": np.zeros((32, 3, 3, 3))}, monkeypatch)
    with pytest.raises(InputError, match=r"w\.pth does not fit efficientnet_lite0: it has no '_bn0\.weight'"):
        torch_weights.for_model(backbone("efficientnet_lite0"), tmp_path / "w.pth")


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: b"PK\x03\x04" + data, lambda data: data[:20]])
def test_damaged_file_is_named(damage, tmp_path, monkeypatch):
    path = tmp_path / "w.pth"
    write(path, {"a": np.zeros(4)}, monkeypatch)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=rf"cannot read {path} as PyTorch weights .*format before PyTorch 1\.6"):
        torch_weights.read(path)


def test_file_cannot_run_code(tmp_path):
    path = tmp_path / "w.pth"
    file = io.BytesIO()
    for header in (torch_weights._MAGIC, 1001, {}):
        pickle.dump(header, file, protocol=2)
    file.write(b"cos\nsystem\n(S'true'\ntR.")
    path.write_bytes(file.getvalue())
    with pytest.raises(InputError, match=r"os\.system is not allowed in a weights file"):
        torch_weights.read(path)
