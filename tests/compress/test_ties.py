import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.compress import cluster
from tfmap.compress.ties import Hold, held, tie


def kernel(shape=(3, 3, 8, 16), seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype("float32")


def shared(values):
    return np.asarray(cluster.shared(values, cluster.magnitudes([values], 16)))


def units(values):
    """Magnitudes in units of the largest of each output channel, as int8 will see them."""
    largest = np.abs(values).max(axis=tuple(range(values.ndim - 1)))
    return np.unique(np.round(127 * np.abs(values) / np.where(largest > 0, largest, 1)))


@pytest.mark.parametrize("values", [kernel(), np.zeros((3, 3, 4, 4), "float32")])
def test_a_kernel_with_nothing_to_keep(values):
    assert tie(tf.Variable(values)) is None
    assert Hold([tf.Variable(values)]).ties == []


def test_zeros_stay_zeros_and_the_rest_is_free():
    values = kernel()
    values[np.abs(values) < 0.07] = 0
    variable = tf.Variable(values)
    hold = Hold([variable])
    variable.assign_add(tf.ones_like(variable))
    hold.on_train_batch_end(0)
    np.testing.assert_array_equal(variable.numpy(), np.where(values == 0, 0, values + 1))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), step=st.floats(1e-4, 0.05), sparse=st.booleans())
def test_groups_survive_a_step(seed, step, sparse):
    values = kernel(seed=seed)
    if sparse:
        values[np.abs(values) < 0.07] = 0
    start = shared(values)
    moved = start + step * kernel(seed=seed + 1) / 0.1
    after = held(tie(tf.Variable(start)), tf.constant(moved)).numpy()
    assert len(units(after)) <= len(units(start)) <= 8
    np.testing.assert_array_equal(after[start == 0], 0)
    assert not np.any(np.sign(after) * np.sign(start) < 0)
    assert np.isfinite(after).all()


def test_a_held_kernel_that_has_not_moved_stays():
    start = shared(kernel())
    np.testing.assert_allclose(held(tie(tf.Variable(start)), tf.constant(start)).numpy(), start, rtol=1e-5)


def test_a_channel_moves_by_its_share_of_a_step():
    start = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, -0.5], [1, -1]], "float32").repeat(2, axis=0)
    moved = start.copy()
    moved[0, 0] += 0.14
    after = held(tie(tf.Variable(start)), tf.constant(moved)).numpy()
    # All of a dense kernel has one scale: 16 halves and 4 ones, 0.14 of a half.
    np.testing.assert_allclose(after, start * (1 + 0.14 * 0.5 / (16 * 0.25 + 4)), rtol=1e-5)


def test_the_scale_of_a_channel_follows_its_largest_weight():
    start = shared(kernel())
    after = held(tie(tf.Variable(start)), tf.constant(start * 1.5)).numpy()
    np.testing.assert_allclose(after, start * 1.5, rtol=1e-5)
