"""Every file that tfmap makes passes the strict check: no backbone is suspected of damage that it does not have."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfmap import export, tasks, verify

FAST = ("lenet",)
# one of each family
SLOW = ("convnext_tiny", "densenet121", "efficientnet_lite0", "efficientnet_v2_b0", "mobilenet_v1_025")
SLOW += (
    "mobilenet_v2_035",
    "mobilenet_v3_small",
    "mobilenet_v4_conv_small",
    "nasnet_mobile",
    "resnet50_v2",
    "resnet8",
    "xception",
)
# What is left of the variance of 1 that a BatchNormalization starts with, after each of ten steps; NASNet's own 0.9997
# would leave all of it. Xception's fresh kernels give a variance of 1e-6: at 0.7 its channels stood still beside 0.03.
MOMENTUM = {"xception": 0.1}
USUAL = 0.7


def passes(name, split, classes, photos, size, format="int8"):
    keras.utils.set_random_seed(0)
    model = tasks.get("classification").build(name, classes=6, input_shape=(size, size, 3), weights=None)
    for layer in model.layers:  # half floats cannot hold kernels times its first 1e-6; no trained one is so small
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(0.1 * keras.ops.ones_like(layer.gamma))
    model.compile("sgd", "sparse_categorical_crossentropy")
    images = keras.ops.image.resize(photos[0].astype(np.float32), (size, size))
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, MOMENTUM.get(name, USUAL))
    for _ in range(10):  # moving statistics that know the pictures, as after any training
        model.train_on_batch(images, photos[1])
    file = export.tflite(model, split=split, classes=classes, format=format)
    found = verify.verify(model, file, split, classes=classes, budget=100, seconds=0.01)
    assert found["failures"] == []
    assert found["kernels"]["compared"] >= found["kernels"]["of"] - 1  # the one that rescales pixels is int8's own
    assert found["layers"]["compared"] > 0


@pytest.mark.parametrize("name", FAST)
def test_int8_of_some(name, trash_split, trash_classes, photos):
    passes(name, trash_split, trash_classes, photos, 48)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["int16x8", "int4"])
def test_other_integers(format, trash_split, trash_classes, photos):
    passes("lenet", trash_split, trash_classes, photos, 48, format)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["int8", "dynamic", "float16"])
@pytest.mark.parametrize("name", SLOW)
def test_every_format_of_each_family(name, format, trash_split, trash_classes, photos):
    passes(name, trash_split, trash_classes, photos, 96, format)
