"""A file finds the Keras model that it was made from."""

from __future__ import annotations

import keras
import pytest

from tfmap.litert import LiteModel
from tfmap.verify import twins


@pytest.fixture
def models(classifier, stranger):
    return {"model.keras": classifier, "compressed.keras": stranger}


@pytest.fixture(scope="module")
def pictures(photos):
    return lambda: photos[0][::4]


def test_the_model_with_the_same_answers_is_found(models, lite_files, stranger, photos, pictures):
    from tfmap.export import convert

    assert twins.find(models, LiteModel(lite_files["int8"]), pictures, "classification") == "model.keras"
    file = convert.int8(stranger, photos[0])
    assert twins.find(models, LiteModel(file), pictures, "classification") == "compressed.keras"


def test_a_model_of_another_size_is_not_asked(models, lite_files, pictures):
    inputs = keras.Input((32, 32, 3))
    other = keras.Model(inputs, keras.layers.Dense(6)(keras.layers.GlobalAveragePooling2D()(inputs)))
    models["compressed.keras"] = other
    assert twins.find(models, LiteModel(lite_files["int8"]), pictures, "classification") == "model.keras"


def test_a_single_model_is_the_one_and_no_picture_is_read(stranger, lite_files):
    def pictures():
        raise AssertionError("read")

    file = LiteModel(lite_files["int8"])
    assert twins.find({"compressed.keras": stranger}, file, pictures, "classification") == "compressed.keras"
