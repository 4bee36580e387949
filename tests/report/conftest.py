"""Run folders to report on: one that every stage has worked on, and copies with less in them."""

from __future__ import annotations

import shutil

import pytest

from tfmap import config as configs
from tfmap import report, runs

CONFIG = """
datasets: {source: 'sample:trash', val_fraction: 0.05, test_fraction: 0.03}
augment: {ops: 'flip|color(.4)|mixup(.2)'}
pipeline: {batch_size: 16}
model: {backbone: mobilenet_v1_025, input_shape: [48, 48, 3]}
"""
HISTORY = (
    ["epoch", "phase", "seconds", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy"],
    [
        [1, "head", 2.5, 1e-3, 1.7, 0.3, 1.6, 0.4],
        [2, "all", 3.5, 5e-4, 1.2, 0.6, 1.3, 0.5],
        [3, "all", 3.5, 0, 0.9, 0.7, "", ""],
    ],
)


@pytest.fixture(scope="session")
def full(tmp_path_factory, classifier, lite_files):
    """A run with the files of train, evaluate, export and verify."""
    from tfmap import datasets, evaluate, verify
    from tfmap.train import records

    config = configs.check(configs.parse(CONFIG, "test"), "test")
    run = runs.Run(tmp_path_factory.mktemp("runs") / "trash")
    source = datasets.load(**config["datasets"])
    records.write(run, config, source)
    run.write_rows("history.csv", *HISTORY)
    with runs.replacing(run.file("model.keras")) as path:
        classifier.save(path)
    evaluate.command(config, run)
    run.write_bytes("model.tflite", lite_files["int8"])
    found = verify.verify(
        classifier, lite_files["int8"], source.splits["val"], classes=source.classes, budget=100, seconds=0.05
    )
    run.write_json("verify.json", {"against": "model.keras", **found})
    return run


@pytest.fixture(scope="session")
def html(full):
    """The report of the full run."""
    return report.report(full.path).read_text(encoding="utf-8")


@pytest.fixture
def bare(full, tmp_path):
    """A copy of the full run whose pictures are gone, so that a report takes no time."""
    shutil.copytree(full.path, tmp_path / "run")
    run = runs.Run(tmp_path / "run")
    text = run.file("config.yaml").read_text().replace("sample:trash", str(tmp_path / "gone"))
    run.write_text("config.yaml", text)
    return run
