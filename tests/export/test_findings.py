"""What a file says about itself, and what the command says about a file."""

from __future__ import annotations

from tfmap.export import findings
from tfmap.export.order import Order

FITTED = {
    "examples": 40,
    "temperature": 1.6,
    "ece_before": 0.12,
    "ece_after": 0.034,
    "precision": 0.9,
    "classes": [
        {"class": "a", "threshold": 0.25, "reached": True},
        {"class": "b", "threshold": 0.5, "reached": False},
    ],
}
COVERAGE = {"pictures": 9, "least_covered": 0.7, "most_saturated": 0.0, "tensors": [], "warnings": list("vwxyz")}


def test_the_file_says_how_it_was_made_and_what_its_scores_are_worth():
    told = findings.told(Order(), {"calibration": FITTED, "coverage": COVERAGE, "kept_float": ["conv"]})
    assert (told["temperature"], told["thresholds"]) == (1.6, (0.25, 0.5))
    assert told["about"] == {
        "format": "int8",
        "engine": "converter",
        "keep_float": ["conv"],
        "coverage": {"pictures": 9, "least_covered": 0.7, "most_saturated": 0.0},
        "calibration": {"examples": 40, "ece_before": 0.12, "ece_after": 0.034, "precision": 0.9},
    }


def test_a_plain_file_says_little():
    assert findings.told(Order(format="float32"), {}) == {"about": {"format": "float32", "engine": "converter"}}
    assert findings.notes({}) == []


def test_the_command_says_what_was_found():
    lines = findings.notes({"calibration": FITTED, "coverage": COVERAGE, "kept_float": ["conv", "dense"]})
    assert lines == [
        "in float: conv, dense",
        "warning: v",
        "warning: w",
        "warning: x",
        "warning: 2 more tensors like these, see export.json",
        "warning: no threshold is good enough for b, see export.json",
        "calibration error 0.120, 0.034 at temperature 1.60, on 40 validation pictures",
    ]


def test_tensors_in_float_are_told_by_their_layers():
    kept = [
        "net_1/conv_1/BiasAdd;net_1/conv_1/convolution",
        "net_1/inner_1/dense_2_1/MatMul",
        "net_1/conv_1/Relu",
        "StatefulPartitionedCall:0",
    ]
    assert findings.notes({"kept_float": kept}) == ["in float: conv, dense_2"]


def test_from_which_score_on_boxes_are_shown_is_told_and_kept():
    found = {"threshold": 0.125}
    assert findings.told(Order(format="float32"), found)["about"]["threshold"] == 0.125
    assert findings.notes(found) == ["boxes are shown from a score of 0.12 on: the best F1 on validation pictures"]


def test_an_error_that_nobody_could_measure():
    fitted = {**FITTED, "ece_after": None, "classes": []}
    assert findings.notes({"calibration": fitted}) == [
        "calibration error 0.120, unknown at temperature 1.60, on 40 validation pictures"
    ]
