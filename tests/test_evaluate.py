"""Evaluation: the order and count of answers, Keras against .tflite, what the run folder gets, and the error texts."""

from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np
import pytest
from PIL import Image

from tfmap import config as configs
from tfmap import evaluate, runs
from tfmap.errors import InputError
from tfmap.source import Split

CONFIG = "datasets: {source: 'sample:trash', val_fraction: 0.05, test_fraction: 0.03}\npipeline: {batch_size: 16}"


def direct(model, images):
    return model.predict(images.astype("float32"), verbose=0)


@pytest.fixture(scope="module")
def config():
    return configs.check(configs.parse(CONFIG, "test"), "test")


@pytest.fixture(scope="module")
def run(tmp_path_factory, classifier, config):
    run = runs.Run(tmp_path_factory.mktemp("runs") / "trash")
    with runs.replacing(run.file("model.keras")) as path:
        classifier.save(path)
    evaluate.command(config, run)
    return run


@pytest.mark.parametrize("batch_size", [1, 7, 48, 100])
def test_predict_answers_every_picture_once_and_in_order(classifier, trash_split, photos, batch_size):
    answers = evaluate.predict(classifier, trash_split, batch_size=batch_size)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, direct(classifier, photos[0]), atol=1e-6)


def test_predict_runs_a_file_as_it_runs_the_model(lite_files, classifier, trash_split, tmp_path):
    (tmp_path / "model.tflite").write_bytes(lite_files["float32"])
    classifier.save(tmp_path / "model.keras")
    expected = evaluate.predict(classifier, trash_split)
    for name, tolerance in (("model.tflite", 1e-5), ("model.keras", 1e-6)):
        np.testing.assert_allclose(
            evaluate.predict(tmp_path / name, trash_split, batch_size=5), expected, atol=tolerance
        )


def test_predict_resizes_to_the_input_of_the_model(classifier, trash_split):
    large = dataclasses.replace(trash_split, images=trash_split.images.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_allclose(
        evaluate.predict(classifier, large), evaluate.predict(classifier, trash_split), atol=2e-2
    )


def test_evaluate_scores_what_the_model_says(classifier, trash_split, trash_classes):
    result = evaluate.evaluate(classifier, trash_split, classes=trash_classes)
    right = result["answers"].argmax(axis=1) == trash_split.labels
    assert result["metrics"]["accuracy"] == right.mean()
    assert len(result["mistakes"]) == (~right).sum()
    assert [curve["class"] for curve in result["curves"]] == list(trash_classes)
    np.testing.assert_array_equal(result["ids"], trash_split.ids)


def test_evaluate_takes_several_labels_a_picture(trash_split):
    inputs = keras.Input((48, 48, 3), name="image")
    keras.utils.set_random_seed(0)
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="sigmoid")(pooled))
    bright = trash_split.images.mean(axis=(1, 2, 3)) > 150
    labels = np.stack([bright, trash_split.labels == 0], axis=1).astype("float32")
    result = evaluate.evaluate(model, dataclasses.replace(trash_split, labels=labels), classes=("bright", "cardboard"))
    assert result["truths"].shape == (48, 2)
    assert 0 <= result["metrics"]["map"] <= 1
    json.dumps(result["metrics"], allow_nan=False)


def test_command_writes_the_numbers_of_both_splits(run):
    metrics = run.read_json("metrics.json")
    assert metrics["model"] == "model.keras"
    assert list(metrics["splits"]) == ["val", "test"]
    mistakes = run.read_json("mistakes.json")
    with np.load(run.file("predictions.npz"), allow_pickle=False) as arrays:
        assert list(arrays["classes"]) == metrics["classes"]
        for name, row in metrics["splits"].items():
            probabilities, truths, ids = (arrays[f"{name}_{key}"] for key in ("probabilities", "truths", "ids"))
            right = probabilities.argmax(axis=1) == truths
            assert row["examples"] == len(truths) == len(set(ids))
            assert row["accuracy"] == pytest.approx(right.mean())
            assert {mistake["id"] for mistake in mistakes[name]} <= set(ids[~right])


def test_command_prints_one_column_a_split(config, run, capsys):
    evaluate.command(config, run)
    text = capsys.readouterr().out
    assert "val" in text
    assert "f1_macro" in text
    assert "predict" not in text  # no progress bar where nobody watches


def test_command_loads_the_split_that_training_held_out(config, run, capsys):
    before = set(np.load(run.file("predictions.npz"))["val_ids"])
    other = runs.Run(run.path.with_name("other seed"))
    other.path.mkdir()
    other.file("model.keras").write_bytes(run.file("model.keras").read_bytes())
    evaluate.command({**config, "seed": 1}, other)
    assert set(np.load(other.file("predictions.npz"))["val_ids"]) != before


def test_command_without_a_model_names_the_stage(tmp_path, config):
    with pytest.raises(
        FileNotFoundError, match=r"model\.keras is missing\. Run this stage first: python -m tfmap\.train"
    ):
        evaluate.command(config, runs.Run(tmp_path))


def test_command_needs_a_split_that_was_held_out(run, config):
    settings = {"source": "sample:trash", "val_fraction": 0.0}
    with pytest.raises(InputError, match="sample:trash has no validation or test split. Set datasets.val_fraction"):
        evaluate.command({**config, "datasets": settings}, run)


def test_evaluate_refuses_other_classes(classifier, trash_split):
    with pytest.raises(InputError, match=r"the model has 6 outputs, the data 2 classes \(a, b\)"):
        evaluate.evaluate(classifier, trash_split, classes=("a", "b"))


def test_predict_refuses_a_split_without_examples(classifier, trash_split):
    with pytest.raises(InputError, match="the split holds no examples"):
        evaluate.predict(classifier, trash_split.take(np.zeros(0, int)))


def test_predict_refuses_what_is_no_model(trash_split, tmp_path):
    with pytest.raises(InputError, match=r"expected a \.keras or a \.tflite file, received model\.onnx"):
        evaluate.predict("model.onnx", trash_split)
    with pytest.raises(FileNotFoundError, match=r"gone\.tflite does not exist"):
        evaluate.predict(tmp_path / "gone.tflite", trash_split)


def test_predict_refuses_an_open_input_size(trash_split):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(InputError, match=r"input is \(None, None, None, 3\), without a fixed height and width"):
        evaluate.predict(model, trash_split)


def test_predict_refuses_pictures_that_are_gone(classifier, trash_split, tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(20)]
    for path, image in zip(paths, trash_split.images, strict=False):
        Image.fromarray(image).save(path)
    ids = np.array(paths, object)
    split = Split("path", ids, trash_split.labels[:20], ids, np.zeros(20, bool))
    assert evaluate.predict(classifier, split).shape == (20, 6)
    (tmp_path / "7.png").unlink()
    with pytest.raises(InputError, match=r"1 of 20 pictures cannot be read any more, first .*7\.png"):
        evaluate.predict(classifier, split.take(np.arange(20)))
