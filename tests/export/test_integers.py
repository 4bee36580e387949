"""An integer file from training examples to coverage."""

from __future__ import annotations

import pytest

from tfmap import flatbuffer
from tfmap.export import floats, integers
from tfmap.export.order import Order

pytestmark = pytest.mark.slow  # minutes of conversion and training on two cores


@pytest.fixture
def typical(trash_split):
    return integers.Typical(trash_split, "classification", samples=24, others=64, seed=0)


def test_what_was_found_is_told(classifier, typical):
    file, found = integers.made(classifier, Order(), typical, equalise=True, correct=True)
    assert flatbuffer.read(file).format == "int8"
    assert (found["calibrated_on"], found["kept_float"], found["coverage"]["pictures"]) == (24, [], 24)
    assert found["coverage"]["tensors"]
    assert "layers" not in found


def test_no_pictures_are_left_for_coverage(classifier, trash_split):
    typical = integers.Typical(trash_split, "classification", samples=48, others=64, seed=0)
    assert integers.made(classifier, Order(), typical, equalise=False, correct=False)[1]["coverage"] is None


@pytest.mark.parametrize("engine", ["converter", pytest.param("ai-edge-quantizer", marks=pytest.mark.slow)])
def test_layers_are_kept_in_float(classifier, typical, engine):
    file, found = integers.made(classifier, Order(engine=engine, keep_float=2), typical, equalise=True, correct=True)
    assert found["kept_float"] == list(floats.chosen(2, found["layers"]))
    assert floats.unexpected(flatbuffer.read(file), found["kept_float"]) == []
    kept = [op for op in flatbuffer.read(file).float_ops() if op.name in floats.LAYERS]
    assert len(kept) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", integers.ROUNDING)
def test_every_integer_format_goes_the_same_way(classifier, typical, name):
    order = Order(format=name, batch_size="dynamic")
    file, found = integers.made(classifier, order, typical, equalise=True, correct=True)
    assert flatbuffer.read(file).inputs[0].dtype == "uint8"
    assert found["coverage"]["least_covered"] > 0.5
