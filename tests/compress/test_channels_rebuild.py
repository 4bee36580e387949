"""Channels are taken out of whole networks: what is left answers as the whole does with zeros in their place."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import tfmap
from tfmap import models
from tfmap.compress import bridge
from tfmap.compress.channels_rebuild import flattened
from tfmap.errors import InputError
from tfmap.models import catalogue

FAST = ("lenet", "resnet8", "tfmap_tiny", "mobilenet_v1_025", "mobilenet_v2_035")
# layer normalisation holds the channels of the blocks' ends
HELD = {"convnext": 0.55}


def classifier(name):
    row = catalogue.find(name)
    size = row.size if row.family == "Small pictures" else max(64, row.smallest)
    return tfmap.build_classifier(name, classes=6, input_shape=(size, size, 3), weights=None)


def check_backbone(name, without):
    """Half of the channels is a quarter of a dense kernel and half of a depthwise one."""
    whole = classifier(name)
    small = without(whole)
    assert small.output_shape == whole.output_shape
    left = models.multiply_adds(small) / models.multiply_adds(whole)
    assert left < HELD.get(name.split("_")[0], 0.4), left


@pytest.mark.parametrize("name", FAST)
def test_small_backbones(name, without):
    check_backbone(name, without)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in catalogue.BACKBONES if name not in FAST])
def test_all_backbones(name, without):
    check_backbone(name, without)
    keras.utils.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("build", ["MobileNetV2", "ResNet50V2", "DenseNet121", "EfficientNetB0", "NASNetMobile"])
def test_networks_of_keras(build, without):
    network = getattr(keras.applications, build)(weights=None, input_shape=(64, 64, 3), classes=6)
    assert models.multiply_adds(without(network)) < 0.4 * models.multiply_adds(network)


def unet(width=8):
    keras.utils.set_random_seed(1)
    image = x = keras.Input((32, 32, 3), name="image")
    skips = []
    for level in range(3):
        x = layers.Conv2D(width << level, 3, padding="same", activation="relu", name=f"in{level}")(x)
        x = layers.BatchNormalization()(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    for level in (2, 1, 0):
        x = layers.Conv2DTranspose(width << level, 2, strides=2, name=f"up{level}")(x)
        x = layers.Concatenate()([x, skips[level]])
        x = layers.Conv2D(width << level, 3, padding="same", activation="relu", name=f"out{level}")(x)
    return keras.Model(image, layers.Conv2D(2, 1, activation="softmax", name="mask")(x))


def test_a_unet(without):
    small = without(unet())
    assert [small.get_layer(f"{part}{i}").filters for part in ("in", "up", "out") for i in range(3)] == [4, 8, 16] * 3
    assert small.output_shape == (None, 32, 32, 2)


def test_nested_models_are_dissolved(without):
    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 3))
    body = keras.Model(image, layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, name="conv")(image)))
    head = keras.Sequential(
        [keras.Input((14, 14, 8)), layers.Conv2D(8, 1, name="conv"), layers.Flatten(name="flat")], name="head"
    )
    x = keras.Input((16, 16, 3), name="image")
    model = keras.Model(x, layers.Dense(2, name="top")(head(body(x, training=False))))
    small = without(model)
    assert [layer.name for layer in small.layers] == ["image", "conv", "norm", "conv__2", "flat", "top"]
    assert small.get_layer("conv").filters == small.get_layer("conv__2").filters == 4
    picture = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype("float32")
    twin = bridge.to_tf_keras(small)
    np.testing.assert_allclose(twin(picture, training=True), twin(picture, training=False))


def test_a_shared_layer_stays_shared(without):
    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 3))
    x, y = (layers.Conv2D(8, 3, name=name)(image) for name in "ab")
    head, norm = layers.Conv2D(8, 1, name="head"), layers.BatchNormalization(name="norm")
    z = layers.Concatenate()([norm(head(x)), norm(head(y))])
    small = without(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(z))))
    assert [small.get_layer(name).filters for name in ("a", "b", "head")] == [4, 4, 4]
    assert len(small.get_layer("head")._inbound_nodes) == 2


def test_a_sequential_model(without):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(8, 3), layers.ReLU(), layers.Flatten(), layers.Dense(2)]
    )
    assert models.multiply_adds(without(model)) == models.multiply_adds(model) / 2


def test_several_outputs_keep_their_names():
    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(8, 3, name="a")(image)
    model = keras.Model({"image": image}, {"wide": layers.Conv2D(4, 1)(x), "mean": layers.GlobalMaxPooling2D()(x)})
    flat = flattened(model)
    picture = np.ones((1, 16, 16, 3), "float32")
    assert set(flat({"image": picture})) == {"wide", "mean"}


def test_what_a_normalization_learnt_comes_along():
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)))
    model = keras.Sequential([keras.Input((16, 16, 3)), adapted, layers.Conv2D(4, 3)])
    picture = np.full((1, 16, 16, 3), 99, "float32")
    np.testing.assert_array_equal(flattened(model)(picture), model(picture))


def test_mixed_precision_stays_mixed():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        image = keras.Input((16, 16, 3))
        x = layers.Conv2D(8, 3, name="a")(image)
        flat = flattened(keras.Model(image, layers.Dense(2, dtype="float32")(layers.Flatten()(x))))
    finally:
        keras.config.set_dtype_policy("float32")
    assert flat.get_layer("a").compute_dtype == "bfloat16"
    assert flat.layers[-1].compute_dtype == "float32"


class Subclassed(keras.Model):
    def call(self, x):
        return x


def test_graphs_that_cannot_be_read():
    with pytest.raises(InputError, match=r"need the graph of model 'one' \(Sequential\), and there is none"):
        flattened(keras.Sequential([layers.Dense(2)], name="one"))
    image = keras.Input((4,))
    with pytest.raises(InputError, match=r"need the graph of model 'mine' \(Subclassed\)"):
        flattened(keras.Model(image, Subclassed(name="mine")(image)))


def test_a_layer_that_cannot_be_copied():
    class Needy(layers.Layer):
        def __init__(self, what, **options):
            super().__init__(**options)

        def get_config(self):
            return {"name": self.name}

        def call(self, x):
            return x

    image = keras.Input((4,))
    with pytest.raises(InputError, match=r"layer 'needy' \(Needy\) cannot be copied. Give it a get_config"):
        flattened(keras.Model(image, Needy(1, name="needy")(image)))
