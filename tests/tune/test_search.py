from __future__ import annotations

import csv
import importlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfmap import config as configs
from tfmap import tune
from tfmap.errors import InputError
from tfmap.runs import Run

# keras 3.15 saves weights that way
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

# The smallest that the real flow can train.
TINY = {
    "model": {"backbone": "lenet", "input_shape": (32, 32, 3), "weights": None},
    "pipeline": {"batch_size": 9},
    "train": {"epochs": 1},
}
ROOT = Path(__file__).parents[2]
DROPOUT = {"model.dropout": {"min": 0.0, "max": 0.9}}


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("algorithm", ["random", "grid", "hyperband"])
def test_every_algorithm_finds_the_better_half(formula, source, tmp_path, algorithm):
    found = tune.search(source, out=tmp_path, algorithm=algorithm, max_trials=10, epochs=4, space=DROPOUT)
    assert 4 <= len(found["trials"]) <= 10
    assert abs(found["config"]["model"]["dropout"] - 0.3) < 0.25
    scores = [trial["score"] for trial in found["trials"]]
    assert scores == sorted(scores, reverse=True)
    assert len({config["model"]["dropout"] for config in formula}) >= 3


@pytest.mark.slow
def test_bayesian_search_leaves_chance_behind(formula, source, tmp_path):
    tune.search(source, out=tmp_path, algorithm="bayesian", max_trials=8, epochs=1, space=DROPOUT)
    guessed = [abs(config["model"]["dropout"] - 0.3) for config in formula[2:]]
    assert sum(distance < 0.03 for distance in guessed) >= 2


def test_hyperband_trains_the_best_longer(formula, source, tmp_path):
    tune.search(source, out=tmp_path, algorithm="hyperband", max_trials=30, epochs=9, space=DROPOUT)
    epochs = [config["train"]["epochs"] for config in formula]
    assert {1, 3, 9} <= set(epochs)
    assert epochs.count(1) > epochs.count(9)


def test_grid_search_goes_through_every_combination(formula, source, tmp_path):
    space = {"model.dropout": [0.1, 0.2, 0.3], "augment.ops": ["", "flip"], "train.unfreeze": [True, "P4"]}
    tune.search(source, out=tmp_path, algorithm="grid", max_trials=50, space=space)
    seen = {(c["model"]["dropout"], c["augment"]["ops"], c["train"]["unfreeze"]) for c in formula}
    assert len(seen) == len(formula) == 12


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "grid", "hyperband"])
def test_a_stopped_search_goes_on_as_if_nothing_had_happened(formula, source, tmp_path, monkeypatch, algorithm):
    options = {"algorithm": algorithm, "max_trials": 6, "epochs": 4, "space": DROPOUT, "seed": 3}
    whole = tune.search(source, out=tmp_path / "whole", **options)
    count = len(formula)
    formula.clear()

    class Killed(BaseException):
        pass

    def stop(self, trial):
        if len(self.trials) == 3:
            raise Killed
        return add(self, trial)

    from tfmap.tune.results import Results

    add = Results.add
    monkeypatch.setattr(Results, "add", stop)
    with pytest.raises(Killed):
        tune.search(source, out=tmp_path / "cut", **options)
    monkeypatch.setattr(Results, "add", add)
    assert len(formula) == 4
    formula.clear()
    cut = tune.search(source, out=tmp_path / "cut", **options)
    assert len(formula) == count - 3, "the three that were done are not trained again"
    strip = lambda trials: [{k: v for k, v in t.items() if k != "seconds"} for t in trials]  # noqa: E731
    assert strip(cut["trials"]) == strip(whole["trials"])


def test_every_trial_says_how_long_the_rest_will_take(formula, source, tmp_path, capsys):
    tune.search(source, out=tmp_path, algorithm="grid", max_trials=3, space={"model.dropout": [0.3, 0.95, 0.1]})
    lines = " ".join(capsys.readouterr().err.split()).split(" trial ")
    assert lines[0].startswith("trial 1: val_accuracy 0.9950 (best 0.9950), 0 s: dropout 0.3; 0 s left")
    assert lines[1] == "2: failed: MemoryError: no memory left; 0 s left"
    assert lines[2].startswith("3: val_accuracy 0.7950 (best 0.9950), 0 s: dropout 0.1")
    assert "left" not in lines[2]


def test_more_trials_can_be_asked_for_later(formula, source, tmp_path):
    tune.search(source, out=tmp_path, max_trials=2, space=DROPOUT)
    found = tune.search(source, out=tmp_path, max_trials=5, space=DROPOUT)
    assert len(formula) == len(found["trials"]) == 5


def test_a_failed_trial_is_recorded_and_the_search_goes_on(formula, source, tmp_path):
    found = tune.search(source, out=tmp_path, algorithm="grid", max_trials=9, space={"model.dropout": [0.95, 0.3, 0.1]})
    assert [trial["status"] for trial in found["trials"]] == ["done", "done", "failed"]
    assert found["trials"][-1]["reason"] == "MemoryError: no memory left"
    assert rows(tmp_path / "trials.csv")[-1]["reason"] == "MemoryError: no memory left"
    assert found["config"]["model"] == {"dropout": 0.3}


def test_a_search_in_which_everything_fails_says_why(formula, source, tmp_path):
    with pytest.raises(InputError, match=r"tune: every one of 2 trials failed. The first: MemoryError: no memory left"):
        tune.search(source, out=tmp_path, algorithm="grid", space={"model.dropout": [0.95, 0.99]})


def test_a_loss_is_made_small(formula, source, tmp_path):
    found = tune.search(source, out=tmp_path, max_trials=3, epochs=4, objective="val_loss", space=DROPOUT)
    assert found["trials"][0]["score"] == 0.25
    assert json.loads((tmp_path / "tune.json").read_text())["direction"] == "min"


def test_what_a_search_leaves_behind(formula, source, tmp_path):
    found = tune.search(source, out=tmp_path, max_trials=3, epochs=2, space={**DROPOUT, "augment.ops": ["", "flip"]})
    table = rows(tmp_path / "trials.csv")
    assert list(table[0]) == [
        "trial", "status", "val_accuracy", "epochs", "seconds", "model.dropout", "augment.ops", "reason",
    ]  # fmt: skip
    assert [float(row["val_accuracy"]) for row in table] == [trial["score"] for trial in found["trials"]]
    kept = json.loads((tmp_path / "tune.json").read_text())
    assert kept["trials"] == found["trials"]
    assert kept["recipe"]["space"]["augment.ops"] == ["", "flip"]
    assert {path.name for path in (tmp_path / "trials").iterdir()} == {"0001", "0002", "0003"}
    assert not list(tmp_path.glob("trials/*/checkpoints"))


def test_settings_that_cannot_be(formula, source, tmp_path):
    with pytest.raises(InputError, match=r"tune.max_trials and tune.epochs must be at least 1, received 0 and None"):
        tune.search(source, out=tmp_path, max_trials=0, space=DROPOUT)
    with pytest.raises(
        InputError, match=r"tune.objective: 'val_acc' is no column of history.csv. Known: val_accuracy, val_l"
    ):
        tune.search(source, out=tmp_path / "o", objective="val_acc", space=DROPOUT)
    lone = type(source)("lone", source.classes, {"train": source.split("train")})
    with pytest.raises(InputError, match=r"tune: lone has no validation pictures. Set datasets.val_fraction above 0."):
        tune.search(lone, out=tmp_path, space=DROPOUT)
    tune.search(source, out=tmp_path, max_trials=1, space=DROPOUT)
    with pytest.raises(InputError, match=r"holds a search with other settings: algorithm, space. Choose another out="):
        tune.search(source, out=tmp_path, algorithm="grid", space={"model.dropout": [0.1]})


def test_a_real_search_stopped_by_ctrl_c_goes_on_and_its_best_config_trains(source, tmp_path, monkeypatch):
    """Two real trainings, the second interrupted after its epoch; two trials that cannot be built."""
    from tfmap.tune import trials

    space = {"model.backbone": ["lenet", "no_such_net"], "augment.ops": ["flip", ""]}
    options = {"config": TINY, "out": tmp_path, "algorithm": "grid", "max_trials": 4, "space": space}
    step = trials.attempts.Pulse.on_epoch_end

    def interrupt(self, epoch, logs=None):
        step(self, epoch, logs)
        if (tmp_path / "trials" / "0002").exists():
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trials.attempts.Pulse, "on_epoch_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tune.search(source, **options)
    monkeypatch.setattr(trials.attempts.Pulse, "on_epoch_end", step)
    assert len(rows(tmp_path / "trials.csv")) == 1
    assert (tmp_path / "trials" / "0002" / "checkpoints" / "last.npz").exists()
    first = (tmp_path / "trials" / "0001" / "trial.json").read_text()
    found = tune.search(source, **options)
    assert [trial["status"] for trial in found["trials"]] == ["done", "done", "failed", "failed"]
    assert "InputError: model: unknown backbone 'no_such_net'" in found["trials"][-1]["reason"]
    assert (tmp_path / "trials" / "0001" / "trial.json").read_text() == first
    assert found["config"]["model"]["backbone"] == "lenet"


def test_the_command_writes_a_config_that_train_takes(formula, tmp_path, capsys):
    given = {"datasets": {"source": "sample:trash", "val_fraction": 0.2}, "seed": 2, "train": {"epochs": 30}}
    config = configs.check({**given, "tune": {"max_trials": 3, "epochs": 2, "space": DROPOUT}}, "c.yaml")
    tune.command({**config, "out": str(tmp_path)}, Run(tmp_path))
    best = configs.read(tmp_path / "best.yaml")
    assert best["train"] == {"epochs": 30}, "trials are short, the training is not"
    assert best["datasets"] == given["datasets"]
    assert (
        best["model"]["dropout"]
        == json.loads((tmp_path / "tune.json").read_text())["trials"][0]["values"]["model.dropout"]
    )
    assert best["tune"] == {}
    assert (tmp_path / "best.yaml").read_text().startswith(f"# python -m tfmap.train {tmp_path}/best.yaml\n")
    out = capsys.readouterr().out
    assert "the best of 3 trials" in out
    assert "best.yaml" in out


def test_keras_tuner_is_imported_when_it_is_needed():
    assert "keras_tuner" not in vars(importlib.import_module("tfmap.tune"))


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["random", "bayesian", "grid", "hyperband"])
def test_every_algorithm_trains_for_real(source, tmp_path, algorithm):
    space = {"train.learning_rate": {"min": 1e-4, "max": 1e-2, "log": True}, "augment.ops": ["", "flip"]}
    options = {"config": TINY, "out": tmp_path, "algorithm": algorithm, "max_trials": 3, "epochs": 2, "space": space}
    found = tune.search(source, **options)
    assert len(found["trials"]) >= 2
    assert all(trial["status"] == "done" and 0 <= trial["score"] <= 1 for trial in found["trials"])


@pytest.mark.slow
def test_a_killed_process_goes_on_and_its_best_config_trains(tmp_path, pictures):
    config = tmp_path / "c.yaml"
    kept = {"datasets": {"source": str(pictures)}, **TINY, "tune": {"max_trials": 3, "epochs": 2, "space": DROPOUT}}
    config.write_text(configs.dump(configs.check(kept, "c")))
    command = [sys.executable, "-m", "tfmap.tune", str(config), f"out={tmp_path / 'run'}"]
    first = tmp_path / "run" / "trials" / "0001" / "trial.json"
    process = subprocess.Popen(command, cwd=ROOT)
    while not first.exists():
        assert process.poll() is None, "the search ended before its first trial"
        time.sleep(0.1)
    process.kill()
    process.wait()
    before = first.read_text()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert first.read_text() == before
    assert len(rows(tmp_path / "run" / "trials.csv")) == 3
    train = [sys.executable, "-m", "tfmap.train", str(tmp_path / "run" / "best.yaml"), f"out={tmp_path / 'best'}"]
    assert subprocess.run(train, cwd=ROOT).returncode == 0
    assert (tmp_path / "best" / "model.keras").exists()
