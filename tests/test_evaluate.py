"""Evaluation: the order and count of answers, Keras against .tflite, what the run folder gets, and the error texts."""

from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np
import pytest

from tfmap import config as configs
from tfmap import evaluate, runs
from tfmap.errors import InputError

CONFIG = "datasets: {source: 'sample:trash', val_fraction: 0.05, test_fraction: 0.03}\npipeline: {batch_size: 16}"


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
