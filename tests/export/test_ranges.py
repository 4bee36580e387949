"""Ranges of activations, and how much of them a calibration reaches."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tfmap import flatbuffer
from tfmap.export import convert, ranges


@pytest.fixture(scope="module")
def linear():
    """The mean of a picture, doubled, by a kernel: one activation whose values are known."""
    inputs = keras.Input((8, 8, 1))
    dense = layers.Dense(1, use_bias=False, name="double")
    model = keras.Model(inputs, dense(layers.GlobalAveragePooling2D()(inputs)))
    dense.set_weights([np.array([[2.0]], "float32")])
    return model


def _grey(*values):
    return np.stack([np.full((8, 8, 1), value, np.uint8) for value in values])


@pytest.fixture(scope="module")
def float_file(linear):
    return convert.float32(linear, input_type="float32")


def test_what_is_measured_is_what_the_model_computes(linear, float_file):
    found = ranges.measured(float_file, _grey(10, 100, 50))
    assert found[flatbuffer.read(float_file).inputs[0].name] == (10, 100)
    assert found[flatbuffer.read(float_file).outputs[0].name] == pytest.approx((20, 200))


def test_a_range_that_calibration_has_reached(linear, float_file):
    # Pictures of 0 and 255 pin the corners only: the mean of grey ones stays near 10..101.
    file = convert.int8(linear, _grey(10, 100))
    found = ranges.coverage(file, float_file, _grey(20, 90))
    assert (found["pictures"], found["warnings"]) == (2, [])
    assert found["least_covered"] == pytest.approx(1)
    assert found["most_saturated"] == 0


def test_a_range_that_calibration_has_not_reached(linear, float_file):
    file = convert.int8(linear, _grey(10, 50))
    found = ranges.coverage(file, float_file, _grey(0, 40, 100, 200))
    output = next(row for row in found["tensors"] if row["seen"] == pytest.approx([0, 400]))
    assert output["holds"] == pytest.approx([0, 100], rel=0.1)  # 50 and two corner pixels of the first picture
    assert output["covered"] == pytest.approx(0.25, rel=0.1)
    assert output["saturated"] == 0.5
    assert found["least_covered"] == min(row["covered"] for row in found["tensors"])
    assert any(
        line.startswith(f"{output['tensor']}: calibration reaches 2") and "50.000% of the values saturate" in line
        for line in found["warnings"]
    )


def test_every_activation_of_a_network_is_matched(classifier, photos, trash_split):
    file = convert.int8(classifier, photos[0][::2])
    reference = convert.float32(classifier, input_type="float32")
    found = ranges.coverage(file, reference, photos[0][1::2])
    graph = flatbuffer.read(file)
    computed = {
        op.outputs[0].name for op in graph.ops if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    }
    assert len(computed & {row["tensor"] for row in found["tensors"]}) >= len(computed) - 1
    assert all(0 <= row["covered"] <= 1 and 0 <= row["saturated"] < 0.05 for row in found["tensors"])
    covered = [row["covered"] for row in found["tensors"]]
    assert covered == sorted(covered)


def test_on_its_own_pictures_a_calibration_is_whole(classifier, photos):
    file = convert.int8(classifier, photos[0])
    found = ranges.coverage(file, convert.float32(classifier, input_type="float32"), photos[0])
    assert found["least_covered"] > 0.98
    assert found["most_saturated"] < 1e-3


def test_sixteen_bits(classifier, photos):
    file = convert.int16x8(classifier, photos[0], input_type="float32")
    found = ranges.coverage(file, convert.float32(classifier, input_type="float32"), photos[0])
    assert found["tensors"]
    assert found["least_covered"] > 0.98


def test_scores_have_a_range_by_definition(classifier, photos):
    file = convert.int8(classifier, photos[0])
    softmax = {op.outputs[0].name for op in flatbuffer.read(file).ops if op.name == "SOFTMAX"}
    assert softmax
    assert not softmax & ranges.holdable(flatbuffer.read(file)).keys()


def test_nothing_to_match(classifier, photos, float_file):
    found = ranges.coverage(float_file, float_file, _grey(1))
    assert (found["tensors"], found["least_covered"], found["most_saturated"]) == ([], None, None)
