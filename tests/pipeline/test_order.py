from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.errors import InputError
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


def balanced_rows(labels, steps, *, batch_size, seed=0, first=0):
    choose = order.training(np.array(labels, np.int32), "balanced", batch_size=batch_size, seed=seed)
    return np.concatenate([choose(tf.constant(first + step, tf.int64))[0].numpy() for step in range(steps)])


LABELS = st.lists(st.integers(0, 4), min_size=5, max_size=40).filter(lambda labels: len(set(labels)) > 1)


@settings(max_examples=30, deadline=None)
@given(LABELS, st.integers(1, 5), SEEDS)
def test_balanced_gives_every_class_the_same_share(labels, batch_size, seed):
    present = sorted(set(labels))
    rows = balanced_rows(labels, 2 * len(present), batch_size=batch_size, seed=seed)
    counts = np.bincount(np.array(labels)[rows])[present]
    assert (counts == 2 * batch_size).all()
    for start in range(0, len(rows), len(present)):  # in every round, not only in the end
        assert sorted(np.array(labels)[rows[start : start + len(present)]]) == present


@settings(max_examples=30, deadline=None)
@given(LABELS, SEEDS)
def test_balanced_shows_every_member_before_any_again(labels, seed):
    rows = balanced_rows(labels, 1, batch_size=3 * len(labels) * len(set(labels)), seed=seed)
    for label in set(labels):
        members = np.flatnonzero(np.array(labels) == label)
        drawn = rows[np.isin(rows, members)]
        for start in range(0, len(drawn) - len(members), len(members)):
            assert sorted(drawn[start : start + len(members)]) == members.tolist()


def test_balanced_starts_at_any_step_and_follows_its_seed():
    labels = np.arange(1000) % 7 // 3
    whole = balanced_rows(labels, 40, batch_size=16)
    np.testing.assert_array_equal(whole[25 * 16 :], balanced_rows(labels, 15, batch_size=16, first=25))
    assert not np.array_equal(whole, balanced_rows(labels, 40, batch_size=16, seed=1))


@pytest.mark.parametrize("sizes", [(3, 5), (300, 700), (2, 256, 257, 1000)], ids=str)
def test_small_and_large_classes_are_permuted_alike(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rows = balanced_rows(labels, 1, batch_size=2 * max(sizes) * len(sizes))
    for label, size in enumerate(sizes):
        drawn = rows[labels[rows] == label]
        passes = [tuple(drawn[start : start + size]) for start in range(0, 2 * size, size)]
        assert all(sorted(each) == np.flatnonzero(labels == label).tolist() for each in passes)
        assert size < 10 or passes[0] != passes[1]


def test_balanced_orders_are_shuffled_anew_each_time():
    labels = np.repeat([0, 1, 2], 500)
    rows = balanced_rows(labels, 1, batch_size=3000)
    classes = labels[rows]
    assert len({tuple(classes[start : start + 3]) for start in range(0, 300, 3)}) == 6
    first, again = (rows[classes == 1][start : start + 500] for start in (0, 500))
    assert abs(np.corrcoef(first, again)[0, 1]) < 0.18  # four standard deviations
    assert abs(np.corrcoef(rows[classes == 0][:500], rows[classes == 1][:500])[0, 1]) < 0.18


def test_balanced_wants_one_label_a_picture():
    with pytest.raises(InputError, match="pipeline.sampling balanced needs one label a picture"):
        order.training(np.ones((4, 2), np.float32), "balanced", batch_size=2, seed=0)
