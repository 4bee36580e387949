import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.compress import blocks

SIDES = st.tuples(st.integers(1, 5), st.integers(1, 5))
SHAPES = st.lists(st.integers(1, 6), min_size=2, max_size=4).map(tuple)


@settings(max_examples=60, deadline=None)
@given(SHAPES, SIDES, st.integers(0, 99))
def test_means_are_those_of_the_pieces(shape, block, seed):
    kernel = np.random.default_rng(seed).normal(size=shape).astype("float32")
    matrix = np.abs(kernel.reshape(-1, shape[-1]))
    (height, width), (rows, columns) = block, matrix.shape
    expected = [
        [matrix[y : y + height, x : x + width].mean() for x in range(0, columns, width)] for y in range(0, rows, height)
    ]
    np.testing.assert_allclose(blocks.means(tf.constant(kernel), block), expected, rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(SHAPES, SIDES, st.integers(0, 99))
def test_what_is_spread_has_the_same_means(shape, block, seed):
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    size = (-(-rows // block[0]), -(-columns // block[1]))
    values = np.random.default_rng(seed).uniform(size=size).astype("float32")
    kernel = blocks.spread(tf.constant(values), block, shape)
    assert tuple(kernel.shape) == shape
    np.testing.assert_allclose(blocks.means(kernel, block), values, rtol=1e-5)
