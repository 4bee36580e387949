"""Feature maps and stages, on graphs small enough to read."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from tfmap import models
from tfmap.models import LEVELS, levels
from tfmap.tasks import classification

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("resnet50_v2", "convnext_tiny", "xception")]


def residual():
    """Strides 1, 2, 4; a shortcut goes round everything at stride 2 but the sum."""
    image = keras.Input((32, 32, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="stem")(image)
    y = layers.Conv2D(4, 3, padding="same", name="inside")(x)
    x = layers.Add(name="sum")([x, y])
    y = layers.ZeroPadding2D(name="border")(x)
    y = layers.Conv2D(8, 3, strides=2, name="narrow")(y)
    return keras.Model(image, y)


def test_last_map_before_the_stride_without_borders():
    maps = levels.feature_maps(residual())
    assert {level: tensor._keras_history.operation.name for level, tensor in maps.items()} == {"P2": "narrow"}
    image = residual()
    deeper = layers.MaxPooling2D(2, name="pool")(image.output)
    assert list(levels.feature_maps(keras.Model(image.input, deeper))) == ["P2", "P3"]


def test_last_map_is_there_whatever_its_stride():
    image = keras.Input((8, 8, 3))
    for stride, level in ((1, "P1"), (2, "P1"), (4, "P2")):
        model = keras.Model(image, layers.Conv2D(2, 3, strides=stride, padding="same")(image))
        assert list(levels.feature_maps(model)) == [level]


def test_squeeze_and_excitation_is_no_map_of_the_picture():
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, strides=4, padding="same", name="map")(image)
    squeezed = layers.Conv2D(4, 1, name="squeezed")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    model = keras.Model(image, layers.Multiply(name="product")([x, squeezed]))
    assert models.stages(model)["squeezed"] == 1
    assert levels.feature_maps(model)["P2"]._keras_history.operation.name == "product"


def test_stages_of_a_classifier():
    found = models.stages(classification.build("mobilenet_v1_025", classes=3, input_shape=(64, 64, 3), weights=None))
    assert list(found)[:2] == ["image", "normalisation"]
    by_name = {name: LEVELS[index] for name, index in found.items()}
    assert (by_name["conv1"], by_name["conv_dw_2"], by_name["conv_pw_11"]) == ("P1", "P2", "P4")
    assert by_name["conv_pw_13_relu"] == "P5"
    assert [name for name, index in found.items() if index == 5] == ["pool", "dropout", "logits", "probabilities"]


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "inception_v3", *SLOW])
def test_stages_never_fall_along_the_graph(name, backbone):
    model = backbone(name)
    found = models.stages(model)
    assert set(found) == {layer.name for layer in model.layers}
    assert set(found.values()) == {0, 1, 2, 3, 4}
    for layer in model.layers[1:]:
        for tensor in keras.tree.flatten(layer.input):
            assert found.get(tensor._keras_history.operation.name, 0) <= found[layer.name]


@pytest.mark.parametrize(
    ("name", "maps"),
    [
        pytest.param(
            "resnet50",
            ["conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"],
            marks=pytest.mark.slow,
        ),
        ("mobilenet_v2_100", ["block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu", "out_relu"]),
        ("vgg16", ["block3_conv3", "block4_conv3", "block5_conv3", "block5_pool"]),
        pytest.param(
            "nasnet_mobile",
            ["reduction_concat_stem_1", "normal_concat_3", "normal_concat_8", "activation_188"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_maps_of_known_families(name, maps, backbone):
    assert [tensor._keras_history.operation.name for tensor in backbone(name).output.values()] == maps


def test_what_stands_on_marked_maps_is_the_head_wherever_it_reads(tmp_path):
    """Also what reads the picture beside the backbone, as a U-Net's finest steps do, and after saving."""
    image = keras.Input((64, 64, 3), name="image")
    scaled = keras.layers.Rescaling(1 / 255, name="normalisation")(image)
    x, maps = scaled, {}
    for level in range(1, 5):
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name=f"conv_{level}")(x)
        maps[f"P{level}"] = x
    body = levels.marked(keras.Model(image, {name: maps[name] for name in ("P3", "P4")}))
    up = keras.layers.UpSampling2D(2, name="up")(body.output["P4"])
    joined = keras.layers.Add(name="joined")([up, body.output["P3"]])
    fine = keras.layers.Conv2D(4, 3, padding="same", name="fine")(scaled)
    top = keras.layers.Add(name="top")([keras.layers.UpSampling2D(8, name="up_8")(joined), fine])
    keras.Model(image, top).save(tmp_path / "net.keras")
    found = levels.stages(keras.saving.load_model(tmp_path / "net.keras"))
    assert {name for name, index in found.items() if index == 5} == {"up", "joined", "fine", "up_8", "top"}
    assert {name: found[name] for name in ("conv_1", "conv_3", "conv_4", "P3", "P4")} == {
        "conv_1": 0,
        "conv_3": 2,
        "conv_4": 3,
        "P3": 2,
        "P4": 3,
    }
