"""Equality with keras.applications and its preprocess_input: normalisation, channel order, layer order, file format."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfmap import models

_MEAN, _VARIANCE = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]) ** 2

# our name, function and module of keras.applications, arguments
FAST = [
    ("vgg16", "VGG16", "vgg16", {}),
    ("mobilenet_v1_050", "MobileNet", "mobilenet", {"alpha": 0.5}),
    ("mobilenet_v2_035", "MobileNetV2", "mobilenet_v2", {"alpha": 0.35}),
    ("mobilenet_v3_small", "MobileNetV3Small", "mobilenet_v3", {}),
]
SLOW = [
    ("efficientnet_b0", "EfficientNetB0", "efficientnet", {}),
    ("efficientnet_v2_b0", "EfficientNetV2B0", "efficientnet_v2", {}),
    ("convnext_tiny", "ConvNeXtTiny", "convnext", {}),
    ("resnet50", "ResNet50", "resnet", {}),
    ("resnet50_v2", "ResNet50V2", "resnet_v2", {}),
    ("densenet121", "DenseNet121", "densenet", {}),
    ("inception_v3", "InceptionV3", "inception_v3", {}),
    ("xception", "Xception", "xception", {}),
    ("inception_resnet_v2", "InceptionResNetV2", "inception_resnet_v2", {}),
    ("nasnet_mobile", "NASNetMobile", "nasnet", {}),
    ("efficientnet_v2_s", "EfficientNetV2S", "efficientnet_v2", {}),
]
FAMILIES = FAST + [pytest.param(*family, marks=pytest.mark.slow) for family in SLOW]


@pytest.mark.parametrize(("name", "function", "module", "arguments"), FAMILIES)
def test_equals_keras_with_its_preprocessing(name, function, module, arguments, tmp_path, photo, save_as_keras_2):
    """Through a Keras 2 weights file, as published ones are."""
    original = getattr(keras.applications, function)(
        include_top=False, weights=None, input_shape=(75, 75, 3), **arguments
    )
    make_lively(original)
    save_as_keras_2(original, tmp_path / "weights.h5")
    ours = models.build(name, input_shape=(75, 75, 3), weights=str(tmp_path / "weights.h5"))
    picture = np.asarray(keras.ops.image.resize(photo[None].astype("float32"), (75, 75)))
    prepared = getattr(keras.applications, module).preprocess_input(picture.copy())
    expected = np.asarray(original(prepared, training=False))
    got = np.asarray(list(ours(picture, training=False).values())[-1])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert np.ptp(expected) > 1e-3  # not all dead


def make_lively(model):
    """Statistics as after training; EfficientNet's input statistics as its published file sets them."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(random.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(random.uniform(0.5, 1.5, layer.moving_variance.shape))
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.load_own_variables({"0": _MEAN, "1": _VARIANCE, "2": np.array(0)})
            layer.finalize_state()


def test_numbered_layers_start_at_one(backbone):
    names = [layer.name for layer in backbone("inception_v3").layers if isinstance(layer, keras.layers.Conv2D)]
    assert names[0] == "conv2d_1"
    assert sorted(names, key=lambda name: int(name.split("_")[1])) == [f"conv2d_{i}" for i in range(1, 95)]
