from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.pipeline import order

SEEDS = st.integers(-(2**31), 2**31 - 1)


def rows_of(step, **options):
    rows, epoch = order.shuffled(tf.constant(step, tf.int64), **options)
    return rows.numpy(), int(epoch)


def epoch_of(number, *, count, batch_size, seed):
    steps = count // batch_size
    options = {"count": count, "batch_size": batch_size, "seed": seed}
    return np.concatenate([rows_of(number * steps + step, **options)[0] for step in range(steps)])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 50), SEEDS, st.integers(0, 5))
def test_an_epoch_is_a_permutation(count, batch_size, seed, number):
    batch_size = min(batch_size, count)
    rows = epoch_of(number, count=count, batch_size=batch_size, seed=seed)
    assert len(rows) == count // batch_size * batch_size
    assert len(set(rows)) == len(rows)
    assert rows.min() >= 0
    assert rows.max() < count


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 10**12), SEEDS)
def test_no_memory_is_needed_for_any_count(count, seed):
    rows, epoch = rows_of(7, count=count, batch_size=1, seed=seed)
    assert 0 <= rows[0] < count
    assert epoch == 7 // count


def test_epochs_and_seeds_have_other_orders():
    orders = [epoch_of(e, count=5000, batch_size=100, seed=s) for e, s in [(0, 0), (1, 0), (2, 0), (0, 1)]]
    correlations = np.corrcoef(orders)
    assert np.abs(correlations[np.triu_indices(4, 1)]).max() < 0.06  # four standard deviations
    for rows in orders:
        assert abs(np.corrcoef(rows[1:], rows[:-1])[0, 1]) < 0.06
        assert abs(np.corrcoef(rows, np.arange(5000))[0, 1]) < 0.06


def test_what_an_epoch_leaves_out_comes_in_others():
    seen = set().union(*(epoch_of(number, count=50, batch_size=32, seed=0) for number in range(12)))
    assert seen == set(range(50))


def test_in_order_ends_with_minus_one():
    rows, epoch = order.in_order(tf.constant(2, tf.int64), count=10, batch_size=4)
    np.testing.assert_array_equal(rows, [8, 9, -1, -1])
    assert epoch == 0
