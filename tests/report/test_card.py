"""The model card: what it says follows from the files, and it is silent where they are."""

from __future__ import annotations

import numpy as np

from tfmap import scores
from tfmap.report.card import model_card

MODEL = {
    "input": (48, 48, 3),
    "outputs": 2,
    "parameters": 1234,
    "layers": 5,
    "backbone": "lenet",
    "weights": None,
    "seed": 3,
}
DATA = {
    "source": "pictures",
    "classes": ["cat", "dog"],
    "multi_label": False,
    "splits": {"train": {"cat": 70, "dog": 50}, "val": {"cat": 40, "dog": 10}},
    "findings": {"label_conflicts": ["x", "y"]},
    "skipped": [["a", "broken"]],
}
TRUTHS = np.repeat([0, 1], [40, 10])
ANSWERS = np.eye(2, dtype="float32")[np.r_[np.zeros(44, int), np.ones(6, int)]]
METRICS = {"val": scores.single_label(ANSWERS, TRUTHS, ("cat", "dog"))}


def card(**changes):
    facts = {"data": DATA, "metrics": METRICS, "model": MODEL, "epochs": 7, **changes}
    return {heading: " ".join(sentences) for heading, sentences in model_card(facts)}


def test_each_part_says_what_the_files_say():
    found = card()
    assert list(found) == ["Intended use", "Model and training", "Data", "Metrics", "Limits"]
    assert "one of 2 classes a picture shows: cat, dog." in found["Intended use"]
    assert (
        "lenet, 1,234 parameters in all, pictures of 48 x 48 x 3; initial weights: none" in found["Model and training"]
    )
    assert "7 epochs with seed 3" in found["Model and training"]
    assert "pictures: 120 training, 50 validation pictures. Files left out: 1;" in found["Data"]
    assert "Validation (50 pictures): accuracy 92.0%" in found["Metrics"]
    assert "Weakest class: dog is found in 60.0% of its 10 validation pictures." in found["Limits"]
    assert "Fewer than 30 validation pictures, so known only roughly: dog." in found["Limits"]
    assert "Findings in the data: label conflicts (2)." in found["Limits"]


def test_validation_is_called_kind_only_where_there_is_no_test_split():
    assert "also chose the best epoch" in card()["Limits"]
    assert "also chose the best epoch" not in card(metrics={**METRICS, "test": METRICS["val"]})["Limits"]


def test_the_last_epoch_was_chosen_by_nobody():
    limits = card(model={**MODEL, "keep": "last"})["Limits"]
    assert "validation did not choose it" in limits
    assert "also chose the best epoch" not in limits


def test_it_is_silent_where_nothing_was_measured():
    assert list(card(metrics={})) == ["Intended use", "Model and training", "Data"]
    assert list(card(metrics={}, data=None)) == ["Model and training"]


def test_many_classes_are_counted_not_listed():
    names = [f"class {k}" for k in range(40)]
    assert "class 11 and 28 more." in card(data={**DATA, "classes": names}, metrics={})["Intended use"]


def test_several_labels_are_said_so():
    truths = np.eye(2, dtype="float32")[TRUTHS]
    found = card(
        data={**DATA, "multi_label": True}, metrics={"val": scores.multi_label(ANSWERS, truths, ("cat", "dog"))}
    )
    assert "for each of 2 classes whether a picture shows it" in found["Intended use"]
    assert "validation labels" in found["Data"]
    assert "mAP" in found["Metrics"]
