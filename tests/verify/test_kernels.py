"""Kernels of the file beside those of the model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfmap import flatbuffer
from tfmap.export import convert
from tfmap.verify import alignment, kernels


def compared(theirs, ours):
    graphs = flatbuffer.read(theirs), flatbuffer.read(ours)
    return kernels.compare(alignment.pairs(*graphs), *graphs)


@pytest.mark.parametrize(
    ("name", "least"), [("float32", 1 - 1e-6), ("float16", 1 - 1e-6), ("dynamic", 0.999), ("int8", 0.999)]
)
def test_rounding_hardly_turns_a_kernel(lite_files, name, least):
    found = compared(lite_files["float32"], lite_files[name])
    assert found["compared"] == 5
    assert found["of"] == 5
    assert found["least_cosine"] > least
    assert found["findings"] == []


def test_other_weights_point_elsewhere(lite_files, stranger):
    found = compared(lite_files["float32"], convert.float32(stranger))
    assert found["least_cosine"] < 0.5
    assert len(found["findings"]) >= 4


def test_a_channel_that_is_zero_in_the_model_too_is_no_finding(classifier, photos):
    import keras

    model = keras.models.clone_model(classifier)
    model.set_weights(classifier.get_weights())
    head = model.layers[-1]
    kernel, bias = head.get_weights()
    kernel[:, 2] = 0
    head.set_weights([kernel, bias])
    found = compared(convert.float32(model), convert.int8(model, photos[0]))
    assert (found["findings"], found["compared"]) == ([], 5)


def test_nothing_in_common_is_nothing_compared(lite_files):
    graph = flatbuffer.read(lite_files["int8"])
    found = kernels.compare([], graph, graph)
    assert (found["compared"], found["of"], found["least_cosine"], found["findings"]) == (0, 5, None, [])


@given(st.integers(0, 2**32 - 1), st.lists(st.floats(0.01, 100), min_size=4, max_size=4))
def test_scaling_a_channel_does_not_turn_it(seed, factors):
    kernel = np.random.default_rng(seed).normal(size=(4, 27))
    assert kernels._cosine(kernel, kernel * np.array(factors)[:, None]) == pytest.approx(1)
    assert kernels._cosine(kernel, -kernel) == pytest.approx(-1)


def test_kernels_of_zeros_are_equal_to_nothing_but_zeros():
    zeros, ones = np.zeros((2, 3)), np.ones((2, 3))
    assert (kernels._cosine(zeros, zeros), kernels._cosine(zeros, ones), kernels._cosine(ones, zeros)) == (1, 0, 0)
