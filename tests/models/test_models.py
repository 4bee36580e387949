"""The contract of every backbone, and the published size of those that were built by hand."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest

from tfmap import models
from tfmap.models import LEVELS, catalogue

# What builds in a second, and one of each family that others need; the rest behind `slow`.
FAST = [
    "alexnet", "efficientnet_b0", "efficientnet_lite0", "inception_v3", "lenet", "mobilenet_v1_025",
    "mobilenet_v1_050", "mobilenet_v2_035", "mobilenet_v2_100", "mobilenet_v3_small", "mobilenet_v4_conv_small",
    "resnet20", "resnet8", "tfmap_micro", "tfmap_small", "tfmap_tiny", "vgg16",
]  # fmt: skip


def slow(*names):
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


EVERY = FAST + slow(*sorted(set(models.names()) - set(FAST)))


@pytest.mark.parametrize("name", EVERY)
def test_contract(name, backbone):
    model = backbone(name)
    first, second = model.layers[:2]
    assert (first.name, first.dtype, model.name) == ("image", "float32", name)
    assert second.name == "normalisation"
    kinds = (keras.Model, keras.layers.Rescaling, keras.layers.Normalization)
    assert [layer.name for layer in model.layers if isinstance(layer, kinds)] == ["normalisation"]
    assert model.count_params() > 0
    check_maps(model)


def check_maps(model):
    """Levels rise, each map is the picture divided by its stride (less what unpadded convolutions cut off)."""
    levels = list(model.output)
    assert levels == sorted(levels)
    assert set(levels) <= set(LEVELS[1:5])
    size = model.input_shape[1]
    for level, tensor in model.output.items():
        stride = 2 ** int(level[1])
        assert tensor.shape[1] == tensor.shape[2]
        assert -7 <= tensor.shape[1] - size / stride <= 1, level
    assert model.output[levels[-1]] is model.operations[-1].output


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["inception_v3", "mobilenet_v3_small", *slow("efficientnet_b0", "resnet50_v2", "xception")]
)
def test_layer_names_do_not_count_through_the_process(name, backbone):
    again = models.build(name, input_shape=backbone(name).input_shape[1:], weights=None)
    assert [operation.name for operation in again.operations] == [o.name for o in backbone(name).operations]


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet8", *slow("convnext_tiny", "inception_resnet_v2")])
def test_saves_and_loads(name, backbone, tmp_path, photo):
    picture = np.asarray(keras.ops.image.resize(photo[None].astype("float32"), backbone(name).input_shape[1:3]))
    backbone(name).save(tmp_path / "backbone.keras")
    again = keras.saving.load_model(tmp_path / "backbone.keras")
    for level, tensor in backbone(name)(picture, training=False).items():
        np.testing.assert_allclose(again(picture, training=False)[level], tensor, rtol=0, atol=1e-5)
    assert models.stages(again) == models.stages(backbone(name))


@pytest.mark.parametrize(
    ("name", "head", "published"),
    [
        # The head is the paper's dense layers; AlexNet less our batch normalisation, LeNet less two colour channels.
        ("resnet8", 64 * 10 + 10, 78_666),
        ("resnet20", 64 * 10 + 10, 274_442),
        ("alexnet", 9216 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000 - 4 * (96 + 256), 62_378_344),
        ("lenet", 120 * 84 + 84 + 84 * 10 + 10 - 2 * 25 * 6, 61_706),
        ("mobilenet_v1_025", 256 * 1000 + 1000, 475_544),
        ("mobilenet_v2_100", 1280 * 1000 + 1000, 3_538_984),
        pytest.param("resnet50", 2048 * 1000 + 1000, 25_636_712, marks=pytest.mark.slow),
    ],
)
def test_published_parameters(name, head, published, backbone):
    assert backbone(name).count_params() + head == published


@pytest.mark.parametrize(
    ("name", "head", "millions"),
    [("efficientnet_lite0", 1_281_000, 4.65), ("mobilenet_v4_conv_small", 960 * 1280 + 2 * 1280 + 1_281_000, 3.77)],
)
def test_published_millions_of_trained_parameters(name, head, millions, backbone):
    trained = sum(int(np.prod(weight.shape)) for weight in backbone(name).trainable_weights)
    assert round((trained + head) / 1e6, 2) == millions


@pytest.mark.slow
@pytest.mark.parametrize(("name", "published"), [("efficientnet_lite4", 13.01), ("efficientnet_lite2", 6.09)])
def test_scaled_lite_has_the_published_size(name, published, backbone):
    trained = sum(int(np.prod(weight.shape)) for weight in backbone(name).trainable_weights)
    assert round((trained + 1_281_000) / 1e6, 2) == published


def test_grey_pictures():
    model = models.build("mobilenet_v1_025", input_shape=(32, 32, 1), weights=None)
    assert model.input_shape == (None, 32, 32, 1)
    assert model.output["P5"].shape == (None, 1, 1, 256)


@pytest.mark.parametrize("name", ["vgg16", *slow("efficientnet_b0", "convnext_tiny", "resnet50", "efficientnet_v2_b0")])
def test_grey_pictures_where_normalisation_is_per_channel(name):
    assert models.build(name, input_shape=(32, 32, 1), weights=None).input_shape[-1] == 1


def test_rectangles_keep_height_and_width_apart():
    model = models.build("mobilenet_v1_025", input_shape=(64, 128, 3), weights=None)
    assert model.output["P4"].shape[1:3] == (4, 8)


def test_table_row():
    (row,) = models.table(["mobilenet_v1_025"])
    assert row["parameters"] == 218_544
    assert row["weights"] == "embedded"
    assert (row["size"], row["levels"]) == (224, "P2 P3 P4 P5")
    assert row["multiply_adds"] == pytest.approx(41e6, rel=0.02)  # the paper's table 7: 41 million, head included


def test_names_are_known_without_keras():
    code = "import sys, tfmap; tfmap.models.names(); sys.exit('keras' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert models.names() == sorted(catalogue.BACKBONES)
