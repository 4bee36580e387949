"""What the pages say is what the file is."""

from __future__ import annotations

import hashlib

import pytest

from tfmap.export.handoff import facts
from tfmap.litert import LiteModel


def test_facts_are_those_of_the_interpreter(files):
    for name, file in files.items():
        told, model = facts.of(file, 10), LiteModel(file)
        assert (told["batch"], told["height"], told["width"], told["channels"]) == model.input_shape, name
        assert told["sha256"] == hashlib.sha256(file).hexdigest()
        for ours, theirs in ((told["input"], model.input), (told["output"], model.outputs[0])):
            assert ours["dtype"] == theirs["dtype"].__name__, name
            scale, zero = theirs["quantization"]  # 0 where nothing is quantised: a value stands for itself
            assert (ours["scale"], ours["zero_point"]) == (scale or 1.0, zero), name


def test_who_can_run_it(files):
    def clients(name):
        told = facts.of(files[name], 10)
        return told["tasks"], told["web"]

    for name in ("int8", "float32", "int8, float border", "int16x8", "several labels"):
        assert clients(name) == (True, True), name
    for name in ("grey", "int4"):
        assert clients(name) == (False, True), name
    for name in ("two at a time", "open batch", "int8 at both ends", "int8 scores"):
        assert clients(name) == (False, False), name


def test_an_open_batch_is_said_to_be_open(files):
    told = facts.of(files["open batch"], 10)
    assert (told["takes"], told["gives"]) == ("? x 48 x 48 x 3", "? x 6")
    assert (told["open"], told["batch"]) == (True, 1)
    told = facts.of(files["two at a time"], 10)
    assert (told["takes"], told["gives"], told["open"]) == ("2 x 48 x 48 x 3", "2 x 6", False)


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("int8", 1 / 512),
        ("int8 at both ends", 1 / 512),
        ("int8, float border", 1 / 512),  # a DEQUANTIZE op widens what was rounded before
        ("int4", 1 / 512),
        ("int16x8", 1 / 65536),
        ("float32", 1e-7),
        ("dynamic", 1e-7),
    ],
)
def test_scores_count_for_half_a_step_at_least(files, name, least):
    told = facts.of(files[name], 10)
    assert (told["least"], told["most_share"]) == (least, 1 - 1e-7)


@pytest.mark.parametrize(
    ("verified", "rows"),
    [
        ({}, []),
        ({"agreement": 0.9912}, [("decided as the Keras model does", "99.12% of them")]),
        (
            {"latency_ms": {"1": {"file": {"median": 1.234}}, "2": {"file": {"median": 0.8}}}},
            [
                ("ms a picture on the verifying machine, 1 thread", "1.23"),
                ("ms a picture on the verifying machine, 2 threads", "0.80"),
            ],
        ),
        ({"passed": False, "failures": ["It fell."]}, [("verdict", "FAILED: It fell.")]),
    ],
)
def test_numbers_that_are_there_are_rows(verified, rows):
    assert facts.numbers(verified) == rows


def test_labels_without_thresholds_are_always_shown(files):
    assert facts.of(files["int8"], 10)["thresholds"] == (0.0,) * 6
