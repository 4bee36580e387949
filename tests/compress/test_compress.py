import json

import keras
import numpy as np
import pytest

from tfmap.compress import command, compress
from tfmap.compress.qat import QuantizedModel
from tfmap.errors import InputError
from tfmap.litert import LiteModel
from tfmap.runs import Run

QUICK = {"epochs": 2, "learning_rate": 0.003, "verbose": False, "pipeline": {"batch_size": 16}}


def test_a_recipe_in_one_call(classifier, source, photos, accuracy):
    rows = []
    small = compress(
        classifier,
        source,
        recipe="prune(0.5, epochs=1)|qat",
        watch=lambda *row: rows.append(row[:2]),
        **QUICK,
    )
    assert isinstance(small, QuantizedModel)
    assert rows == [("prune", 1), ("qat", 1), ("qat", 2)]
    assert accuracy(LiteModel(small.to_tflite()).predict(photos[0])) > 0.8


def test_what_is_wrong_is_said_before_any_work(classifier, source):
    with pytest.raises(InputError, match="unknown step 'shrink'"):
        compress(classifier, source, recipe="shrink")
    with pytest.raises(InputError, match=r"compress.epochs must be a whole number of at least 1"):
        compress(classifier, source, epochs=0)
    with pytest.raises(InputError, match="outputs"):
        compress(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]), source)


@pytest.fixture
def run(tmp_path, classifier):
    run = Run(tmp_path)
    run.write_text("config.yaml", "")
    classifier.save(run.file("model.keras"))
    return run


@pytest.fixture
def config(source, monkeypatch):
    """The sections as the command line hands them over, for the photographs."""
    monkeypatch.setattr("tfmap.datasets.load", lambda **_: source)
    options = {key: value for key, value in QUICK.items() if key != "pipeline"}
    sections = {"datasets": {"source": "photos"}, "pipeline": {"batch_size": 16}, "augment": {"ops": "flip"}}
    return {"task": "classification", "seed": 0, **sections, "compress": options}


def test_the_command_leaves_its_files_in_the_run(run, config, photos, accuracy):
    command({**config, "compress": {**config["compress"], "recipe": "qat", "epochs": 1}}, run)
    assert accuracy(LiteModel(run.file("quantized.tflite")).predict(photos[0])) > 0.8
    command(config, run)
    assert not run.has("quantized.tflite")  # of another recipe: export would prefer it
    model = keras.saving.load_model(run.file("compressed.keras"))
    said = json.loads(run.file("compress.json").read_text())
    assert said["recipe"] == "prune(0.5)"
    assert said["zeros"] == sum(int(np.sum(np.asarray(weight) == 0)) for weight in model.weights) > 2000
    assert said["weights"] == model.count_params()
    assert sorted(said["sparsity"].values())[-1] == 0.5
    assert [row["step"] for row in said["history"]] == ["prune", "prune"]
    assert said["seconds"] > 0


def test_the_command_needs_a_trained_model(tmp_path, config):
    with pytest.raises(FileNotFoundError, match=r"python -m tfmap.train"):
        command(config, Run(tmp_path))
