import json

import keras
import numpy as np
import pytest

from tfmap.compress import command, compress
from tfmap.errors import InputError
from tfmap.litert import LiteModel
from tfmap.runs import Run

QUICK = {"epochs": 2, "learning_rate": 0.003, "verbose": False, "pipeline": {"batch_size": 16}}


def test_what_is_wrong_is_said_before_any_work(classifier, source):
    with pytest.raises(InputError, match="unknown step 'shrink'"):
        compress(classifier, source, recipe="shrink")
    with pytest.raises(InputError, match=r"compress.epochs must be a whole number of at least 1"):
        compress(classifier, source, epochs=0)
    with pytest.raises(InputError, match="expected a model of one picture and outputs boxes"):
        compress(classifier, source, task="detection")
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
    command({**config, "compress": {**config["compress"], "recipe": "prune(0.5, epochs=1)|qat"}}, run)
    model = keras.saving.load_model(run.file("compressed.keras"))
    said = json.loads(run.file("compress.json").read_text())
    assert accuracy(model.predict(photos[0].astype("float32"), verbose=0)) > 0.8
    assert accuracy(LiteModel(run.file("quantized.tflite")).predict(photos[0])) > 0.8
    assert said["recipe"] == "prune(0.5, epochs=1)|qat"
    assert said["zeros"] == sum(int(np.sum(np.asarray(weight) == 0)) for weight in model.weights) > 2000
    assert said["weights"] == model.count_params()
    assert sorted(said["sparsity"].values())[-1] == 0.5
    assert [(row["step"], row["epoch"]) for row in said["history"]] == [
        ("prune", 1),
        ("qat", 0),
        ("qat", 1),
        ("qat", 2),
    ]
    assert said["seconds"] > 0
    outputs = model.predict(photos[0].astype("float32"), verbose=0)
    assert said["scores"] == pytest.approx({"accuracy": accuracy(outputs)})


@pytest.mark.slow
def test_a_quantized_file_of_another_recipe_goes(run, config):
    run.write_bytes("quantized.tflite", b"old")
    command({**config, "augment": {}, "compress": {**config["compress"], "epochs": 1}}, run)
    assert not run.has("quantized.tflite")  # export would prefer it
    assert json.loads(run.file("compress.json").read_text())["recipe"] == "prune(0.5)"


def test_the_command_needs_a_trained_model(tmp_path, config):
    with pytest.raises(FileNotFoundError, match=r"python -m tfmap.train"):
        command(config, Run(tmp_path))
