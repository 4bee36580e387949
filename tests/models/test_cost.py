"""Multiply-adds, counted by hand and against the papers."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from tfmap import models
from tfmap.models import cost


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(5, 3, padding="same"), 8 * 8 * 3 * 3 * 4 * 5),
        (layers.Conv2D(4, 3, strides=2, groups=2), 3 * 3 * 3 * 3 * 2 * 4),
        (layers.DepthwiseConv2D(3, padding="same"), 8 * 8 * 3 * 3 * 4),
        (layers.SeparableConv2D(5, 3, padding="same"), 8 * 8 * (3 * 3 * 4 + 4 * 5)),
        (layers.Conv2DTranspose(5, 2, strides=2), 8 * 8 * 2 * 2 * 4 * 5),
        (layers.Dense(7), 8 * 8 * 4 * 7),
        (layers.BatchNormalization(), 0),
    ],
)
def test_one_layer(layer, expected):
    image = keras.Input((8, 8, 4))
    assert cost.multiply_adds(keras.Model(image, layer(image))) == expected


def test_nested_models_count():
    image = keras.Input((8, 8, 4))
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(5, 1)])
    assert models.multiply_adds(keras.Model(image, inner(image))) == 8 * 8 * 4 * 5


def test_size_must_be_fixed():
    image = keras.Input((None, None, 4))
    with pytest.raises(ValueError, match=r"fixed input size, but layer 'c' has output shape \(None, None, None, 2\)"):
        cost.multiply_adds(keras.Model(image, layers.Conv2D(2, 1, name="c")(image)))


def test_resnet8_is_mlperf_tinys():
    """12.5 million, as its paper's table 2 has it (Banbury et al., 2021)."""
    assert models.multiply_adds(models.build("resnet8", input_shape=(32, 32, 3), weights=None)) == 12_500_992
