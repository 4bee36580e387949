"""The plots: well-formed SVG that says what it should, in any script and for any number of classes."""

from __future__ import annotations

import base64
from xml.etree import ElementTree

import numpy as np
import pytest

from tfmap import curves
from tfmap.report import plots

SVG = "{http://www.w3.org/2000/svg}"


def texts(uri):
    """The texts that a plot shows."""
    head, _, data = uri.partition(",")
    assert head == "data:image/svg+xml;base64"
    root = ElementTree.fromstring(base64.b64decode(data))
    assert root.tag == f"{SVG}svg"
    return [element.text for element in root.iter(f"{SVG}text")]


def case(size, count=60):
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(size), count).astype("float32"), rng.integers(0, size, count)


def test_learning_curves_show_each_metric_with_its_validation_twin_and_the_rate_last():
    history = [
        {
            "epoch": 1.0,
            "phase": "head",
            "seconds": 3.0,
            "learning_rate": 1e-3,
            "loss": 2.0,
            "val_loss": 1.5,
            "lr": None,
        },
        {
            "epoch": 2.0,
            "phase": "all",
            "seconds": 3.0,
            "learning_rate": 5e-4,
            "loss": 1.0,
            "val_loss": None,
            "lr": None,
        },
    ]
    found = plots.learning_curves(history)
    assert [name for name, _ in found] == ["loss", "learning rate"]
    assert {"training", "validation", "head", "all", "epoch"} <= set(texts(found[0][1]))
    assert "validation" not in texts(found[1][1])


def test_learning_curves_of_nothing():
    assert plots.learning_curves([]) == []


def test_one_phase_is_not_marked():
    [(_, plot)] = plots.learning_curves([{"epoch": 1.0, "phase": "all", "loss": 1.0}])
    assert "all" not in texts(plot)


def test_confusion_writes_its_counts_and_names():
    found = texts(plots.confusion([[11, 0], [3, 8]], ["cat", "dog"]))
    assert [found.count(text) for text in ("11", "3", "8", "0", "cat", "dog")] == [1, 1, 1, 0, 2, 2]


@pytest.mark.parametrize(("size", "shows"), [(30, "class 7"), (100, "predicted")])
def test_confusion_of_many_classes_drops_numbers_then_names(size, shows):
    found = texts(plots.confusion(np.full((size, size), 7), [f"class {k}" for k in range(size)]))
    assert shows in found
    assert "7" not in found
    assert ("class 7" in found) == (size == 30)


def test_confusion_takes_a_class_without_examples():
    assert "5" in texts(plots.confusion([[5, 0], [0, 0]], ["a", "b"]))


def test_curves_name_every_class_and_its_area_lowest_first():
    lines = curves.curves(*case(3), ["a", "b", "c"])
    for plot, area in ((plots.precision_recall, "average_precision"), (plots.roc, "auc")):
        expected = [f"{line['class']}  {line[area]:.3f}" for line in sorted(lines, key=lambda line: line[area])]
        assert [text for text in texts(plot(lines)) if text in expected] == expected


def test_curves_of_many_classes_name_the_ten_worst():
    lines = curves.curves(*case(40, 400), [f"class {k}" for k in range(40)])
    worst = sorted(lines, key=lambda line: line["auc"])[:10]
    named = [text for text in texts(plots.roc(lines)) if text.startswith("class ")]
    assert named == [f"{line['class']}  {line['auc']:.3f}" for line in worst]


def test_curves_of_absent_classes_are_empty_plots():
    lines = curves.curves(np.array([[0.9, 0.1]]), np.array([0]), ["a", "b"])
    assert "false positive rate" in texts(plots.roc(lines))


def test_reliability_takes_empty_bins():
    assert "examples (tallest: 1)" in texts(
        plots.reliability(curves.reliability(np.array([[0.9, 0.1]]), np.array([0])))
    )


@pytest.mark.parametrize("name", ["a$b$c_{d}", "<b>x</b>", "\N{CJK UNIFIED IDEOGRAPH-732B} \N{CAT FACE}", "x" * 80, ""])
def test_any_name_can_be_drawn(name):
    found = texts(plots.confusion([[2, 0], [1, 2]], [name, "other"]))
    assert (name if len(name) < 80 else "x" * 21 + "…") in [text or "" for text in found] or not name


def test_the_same_numbers_give_the_same_bytes():
    assert plots.confusion([[2, 1], [1, 2]], ["a", "b"]) == plots.confusion([[2, 1], [1, 2]], ["a", "b"])
