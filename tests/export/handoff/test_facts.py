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

    assert clients("int8") == clients("float32") == clients("int8, float border") == (True, True)
    assert clients("two at a time") == (False, False)


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
