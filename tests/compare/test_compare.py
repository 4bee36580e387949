"""Real trainings, as small as they come."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfmap import arguments, cli
from tfmap.compare import compare, trainings
from tfmap.errors import InputError
from tfmap.runs import Run
from tfmap.source import Source, Split

# keras 3.15 saves weights that way
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

ROOT = Path(__file__).parents[2]
TINY = {
    "model": {"backbone": "lenet", "input_shape": (32, 32, 3), "weights": None},
    "pipeline": {"batch_size": 9},
    "train": {"epochs": 2},
}


@pytest.fixture(scope="module")
def source(photos):
    """Six classes of real photographs: 18 to train on, 6 to validate."""
    images, labels = photos
    picked = np.flatnonzero(np.arange(len(labels)) % 8 < 4)
    images, labels = images[picked], labels[picked]
    held = np.arange(len(labels)) % 4 == 3

    def split(rows):
        ids = np.array([f"picture {i}" for i in np.flatnonzero(rows)], object)
        return Split("pixels", images[rows], labels[rows], ids, np.zeros(rows.sum(), bool))

    return Source("photos", ("a", "b", "c", "d", "e", "f"), {"train": split(~held), "val": split(held)})


@pytest.fixture
def counted(monkeypatch):
    """The real trainings, counted."""
    made, train = [], trainings._train

    def counting(config, source, folder, **options):
        made.append((config["augment"]["ops"], options["seed"]))
        return train(config, source, folder, **options)

    monkeypatch.setattr(trainings, "_train", counting)
    return made


def test_every_value_is_trained_with_every_seed_once(source, tmp_path, counted):
    options = {"config": TINY, "out": tmp_path, "key": "augment.ops"}
    found = compare(source, values=["", "flip"], seeds=1, **options)
    assert counted == [("", 0), ("flip", 0)]
    assert [row["value"] for row in found["rows"]] == ["", "flip"]
    for row in found["rows"]:
        assert 0 <= row["accuracy"] <= 1
        assert row["gap"] == pytest.approx(row["train_accuracy"] - row["accuracy"])
        assert row["seconds_per_epoch"] > 0
        assert not (tmp_path / "compare" / row["folder"] / "checkpoints").exists()
    assert Run(tmp_path).has("compare.png")
    # another value and another seed: what is there is not trained again
    counted.clear()
    more = compare(source, values=["", "flip"], seeds=2, **options)
    assert counted == [("", 1), ("flip", 1)]
    assert more["rows"][:2] == found["rows"]


@pytest.mark.slow
def test_a_training_does_not_depend_on_what_ran_before_it(source, tmp_path):
    options = {"config": TINY, "key": "augment.ops", "seeds": 1}
    both = compare(source, values=["hue", "flip"], out=tmp_path / "a", **options)["rows"]
    turned = compare(source, values=["flip", "hue"], out=tmp_path / "b", **options)["rows"]
    for one, other in zip(both, reversed(turned), strict=True):
        assert one["value"] == other["value"]
        for name in ("accuracy", "f1_macro", "train_accuracy"):
            assert one[name] == other[name]


@pytest.mark.slow
def test_a_training_that_ended_without_being_judged_is_run_again(source, tmp_path, monkeypatch):
    options = {"config": TINY, "out": tmp_path, "key": "augment.ops", "values": ["", "flip"], "seeds": 1}

    class Killed(BaseException):
        pass

    def die(*_, **__):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(trainings.evaluate, "evaluate", die)
        with pytest.raises(Killed):
            compare(source, **options)
    folders = list((tmp_path / "compare").iterdir())
    # as a kill leaves it: the training is over, its checkpoint says so
    assert len(folders) == 1
    assert len(compare(source, **options)["rows"]) == 2


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seeds": 0}, r"compare\.seeds must be at least 1, received 0\."),
        ({"values": ["flip"]}, r"compare: expected two or more different values of augment\.ops"),
        ({"source": None}, r"compare: empty has no validation pictures\. Set datasets\.val_fraction above 0\."),
    ],
)
def test_what_cannot_be_run_is_refused(source, tmp_path, change, text):
    options = {"config": TINY, "out": tmp_path, "key": "augment.ops", "values": ["", "flip"], **change}
    data = Source("empty", source.classes, {"train": source.split("train")}) if "source" in options else source
    options.pop("source", None)
    with pytest.raises(InputError, match=text):
        compare(data, **options)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("datasets: {source: sample:trash}\ntrain: {epochs: 1}\naugment: {ops: hue}\n")
    return str(path)


def test_the_key_that_is_given_several_times_is_compared(config):
    argv = [config, "augment.ops=", "augment.ops=flip|hue", "train.epochs=3", "compare.seeds=2"]
    read, _ = arguments.read("compare", argv)
    assert read["compare"] == {"seeds": 2, "key": "augment.ops", "values": ["", "flip|hue"]}
    assert read["train"]["epochs"] == 3
    assert read["augment"]["ops"] == "hue"


def test_a_config_may_hold_the_comparison(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("datasets: {source: sample:trash}\ncompare: {key: model.dropout, values: [0.1, 0.5], seeds: 2}\n")
    read, _ = arguments.read("compare", [str(path)])
    assert read["compare"] == {"key": "model.dropout", "values": [0.1, 0.5], "seeds": 2}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["augment.ops=flip"], "compare.key is missing (str): config key that is compared"),
        (["augment.ops=flip", "augment.ops=flp"], "augment: unknown op 'flp'"),
        (["augment.ops=", "augment.ops=hue", "train.ema=0", "train.ema=.9"], "one key at a time can be compared, "),
        (["seed=1", "seed=2"], "'seed' cannot be compared"),
        (["model.backbone=lenet", "model.backbone=nothing"], "nothing"),
        (["datasets.val_fraction=.1", "datasets.val_fraction=.2"], "'datasets.val_fraction' cannot be compared"),
        (["train.epochs=1", "train.epochs=x"], "train.epochs must be int, received 'x'"),
    ],
)
def test_a_wrong_comparison_ends_before_anything_starts(config, settings, text, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main("compare", [config, *settings])
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert text in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_the_command_prints_a_table_and_leaves_its_files(config, tmp_path):
    tiny = ["model.backbone=lenet", "model.input_shape=[32,32,3]", "model.weights=null"]
    argv = [config, "augment.ops=", "augment.ops=flip", *tiny, "compare.seeds=2", f"out={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "tfmap.compare", *argv]
    for _ in range(2):  # the second finds everything done
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "augment.ops, 2 seeds each" in done.stdout
        assert "training 4, seed 1: accuracy" in done.stderr
    found = json.loads((tmp_path / "run" / "compare.json").read_text())
    assert [row["value"] for row in found["rows"]] == ["", "flip"] * 2
    assert len(found["summary"]) == 2
