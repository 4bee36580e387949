"""A file finds the Keras model that it was made from."""

from __future__ import annotations

import keras
import pytest

from tfmap.litert import LiteModel
from tfmap.runs import Run
from tfmap.verify import twins


@pytest.fixture
def run(classifier, stranger, tmp_path):
    run = Run(tmp_path)
    classifier.save(run.path / "model.keras")
    stranger.save(run.path / "compressed.keras")
    return run


def test_the_model_with_the_same_answers_is_found(run, lite_files, stranger, photos):
    from tfmap.export import convert

    pictures = photos[0][::4]
    assert twins.find(run, LiteModel(lite_files["int8"]), pictures, "classification")[0] == "model.keras"
    name, model = twins.find(run, LiteModel(convert.int8(stranger, photos[0])), pictures, "classification")
    assert (name, model.name) == ("compressed.keras", "tiny")


def test_a_model_of_another_size_is_not_asked(run, lite_files, photos):
    inputs = keras.Input((32, 32, 3))
    other = keras.Model(inputs, keras.layers.Dense(6)(keras.layers.GlobalAveragePooling2D()(inputs)))
    other.save(run.path / "compressed.keras")
    assert twins.find(run, LiteModel(lite_files["int8"]), photos[0][::4], "classification")[0] == "model.keras"


def test_a_run_with_one_model_has_that_one(run, lite_files, photos):
    run.file("compressed.keras").unlink()
    assert twins.find(run, LiteModel(lite_files["int8"]), photos[0][::4], "classification")[0] == "model.keras"
