"""A source small enough to search on, and a search whose trainings are a formula."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from tfmap.source import Source, Split

TRASH = Path(__file__).parents[2] / "tfmap" / "datasets" / "samples" / "trash"


@pytest.fixture(scope="session")
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
def pictures(tmp_path):
    """A folder of six class folders with eight photographs each."""
    for folder in TRASH.iterdir():
        for file in sorted(folder.glob("*.jpg"))[:8]:
            target = tmp_path / "pictures" / folder.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    return tmp_path / "pictures"


@pytest.fixture
def formula(monkeypatch):
    """Have the accuracy of a trial follow from its settings at once; returns the list of configs that were trained.

    The oracles, the bookkeeping and the resuming are real; a dropout above 0.9 fails as a training would.
    """
    from tfmap.tune import trials

    trained = []

    def fit(self, config, folder):
        trained.append(config)
        dropout = config["model"]["dropout"]
        if dropout > 0.9:
            raise MemoryError("no memory left")
        epochs = config["train"].get("epochs", 20)
        rows = [
            {"epoch": e + 1, "val_accuracy": str(1 - abs(dropout - 0.3) - 0.1 / (e + 1)), "val_loss": str(1 / (e + 1))}
            for e in range(epochs)
        ]
        with open(folder / "history.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return rows

    monkeypatch.setattr(trials._Tuner, "_fit", fit)
    return trained
