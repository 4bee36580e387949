"""Answers to pictures: their order and count, Keras against .tflite, several models at once, and the error texts."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image

from tfmap import inference, pipeline
from tfmap.errors import InputError
from tfmap.source import Split


def direct(model, images):
    return model.predict(images.astype("float32"), verbose=0)


@pytest.mark.parametrize("batch_size", [1, 7, 48, 100])
def test_predict_answers_every_picture_once_and_in_order(classifier, trash_split, photos, batch_size):
    answers = inference.predict(classifier, trash_split, batch_size=batch_size)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, direct(classifier, photos[0]), atol=1e-6)


def test_predict_runs_a_file_as_it_runs_the_model(lite_files, classifier, trash_split, tmp_path):
    (tmp_path / "model.tflite").write_bytes(lite_files["float32"])
    classifier.save(tmp_path / "model.keras")
    expected = inference.predict(classifier, trash_split)
    for name, tolerance in (("model.tflite", 1e-5), ("model.keras", 1e-6)):
        np.testing.assert_allclose(
            inference.predict(tmp_path / name, trash_split, batch_size=5), expected, atol=tolerance
        )


def test_predict_resizes_to_the_input_of_the_model(classifier, trash_split):
    large = dataclasses.replace(trash_split, images=trash_split.images.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_allclose(
        inference.predict(classifier, large), inference.predict(classifier, trash_split), atol=2e-2
    )


def test_predict_refuses_a_split_without_examples(classifier, trash_split):
    with pytest.raises(InputError, match="the split holds no examples"):
        inference.predict(classifier, trash_split.take(np.zeros(0, int)))


def test_predict_refuses_what_is_no_model(trash_split, tmp_path):
    with pytest.raises(InputError, match=r"expected a \.keras or a \.tflite file, received model\.onnx"):
        inference.predict("model.onnx", trash_split)
    with pytest.raises(FileNotFoundError, match=r"gone\.tflite does not exist"):
        inference.predict(tmp_path / "gone.tflite", trash_split)


def test_predict_refuses_an_open_input_size(trash_split):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(InputError, match=r"input is \(None, None, None, 3\), without a fixed height and width"):
        inference.predict(model, trash_split)


def test_models_of_one_size_are_asked_about_pictures_that_are_read_once(
    classifier, lite_files, trash_split, tmp_path, monkeypatch
):
    file = tmp_path / "m.tflite"
    file.write_bytes(lite_files["int8"])
    alone = [inference.predict(model, trash_split) for model in (classifier, file)]
    made, in_order = [], pipeline.in_order
    monkeypatch.setattr(pipeline, "in_order", lambda *args, **kwargs: made.append(1) or in_order(*args, **kwargs))
    together = inference.predict_each([classifier, file], trash_split, batch_size=7)
    assert len(made) == 1
    assert (together[0] != together[1]).any()
    for ours, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_models_of_two_sizes_cannot_share_pictures(classifier, trash_split):
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(InputError, match=r"models of one input size .*'size': \(48, 48\).*Predict with each by itself"):
        inference.predict_each([classifier, model], trash_split)


def test_predict_refuses_pictures_that_are_gone(classifier, trash_split, tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(20)]
    for path, image in zip(paths, trash_split.images, strict=False):
        Image.fromarray(image).save(path)
    ids = np.array(paths, object)
    split = Split("path", ids, trash_split.labels[:20], ids, np.zeros(20, bool))
    assert inference.predict(classifier, split).shape == (20, 6)
    (tmp_path / "7.png").unlink()
    with pytest.raises(InputError, match=r"1 of 20 pictures cannot be read any more, first .*7\.png"):
        inference.predict(classifier, split.take(np.arange(20)))
