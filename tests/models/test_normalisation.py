"""Every normalisation equals the formula of its source, for colour and grey."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfmap.models import normalisation

FORMULAS = {
    "tf": lambda x: x / 127.5 - 1,
    "torch": lambda x: (x / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225]),
    "caffe": lambda x: x - np.array([123.68, 116.779, 103.939]),
    "half128": lambda x: x / 128 - 1,
    "lite": lambda x: (x - 127) / 128,
}


@pytest.mark.parametrize("kind", sorted(normalisation.KINDS))
def test_formula(kind, photo):
    picture = photo[None, :8, :8].astype("float32")
    np.testing.assert_allclose(normalisation.layer(kind, 3)(picture), FORMULAS[kind](picture), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(normalisation.KINDS))
def test_grey_lies_between_the_channels(kind):
    grey = np.full((1, 1, 1, 1), 100.0, "float32")
    colour = np.asarray(normalisation.layer(kind, 3)(np.full((1, 1, 1, 3), 100.0, "float32")))
    got = float(np.asarray(normalisation.layer(kind, 1)(grey)).item())
    assert colour.min() - 1e-5 <= got <= colour.max() + 1e-5


def test_layer_survives_saving():
    layer = normalisation.layer("torch", 3)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    picture = np.full((1, 2, 2, 3), 7.0, "float32")
    np.testing.assert_array_equal(again(picture), layer(picture))
