"""Typical inputs: of every class, the same for the same seed, and exactly what the model sees in evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.errors import InputError
from tfmap.export import representative


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.integers(1, 100), st.integers(0, 9))
def test_classes_take_turns(labels, count, seed):
    labels = np.array(labels, np.int32)
    chosen = representative.stratified(labels, count, seed=seed)
    assert len(chosen) == len(set(chosen.tolist())) == min(count, len(labels))
    taken, there = np.bincount(labels[chosen], minlength=6), np.bincount(labels, minlength=6)
    unfinished = taken[taken < there]
    # A class that has examples left got as many as any other, but for the round that count cut short.
    assert not len(unfinished) or taken.max() - unfinished.min() <= 1


def test_the_seed_decides():
    labels = np.arange(600, dtype=np.int32) % 6
    first, again, other = (representative.stratified(labels, 60, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert len(set(first.tolist()) & set(other.tolist())) < 30


def test_several_labels_count_for_the_first():
    labels = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0], [0, 1, 0]], np.float32)
    assert sorted(representative.stratified(labels, 4).tolist()) == [0, 1, 2, 3]


def test_pictures_come_in_order_and_whole(trash_split):
    found, ids = representative.pictures(trash_split, shape=(48, 48, 3))
    np.testing.assert_array_equal(found, trash_split.images)
    assert ids.tolist() == trash_split.ids.tolist()


def test_one_channel(trash_split):
    found, _ = representative.pictures(trash_split, shape=(24, 32, 1))
    assert (found.shape, found.dtype) == ((48, 24, 32, 1), np.uint8)


def test_calibration_is_spread_over_the_classes(trash_split):
    found = representative.calibration(trash_split, shape=(48, 48, 3), count=12, seed=1)
    chosen = representative.stratified(trash_split.labels, 12, seed=1)
    assert np.bincount(trash_split.labels[chosen]).tolist() == [2] * 6
    np.testing.assert_array_equal(found, trash_split.images[chosen])


def test_an_empty_split(trash_split):
    with pytest.raises(
        InputError, match="^export: the split to take typical pictures from is empty. Expected training p"
    ):
        representative.calibration(trash_split.take(np.array([], int)), shape=(48, 48, 3), count=5)


def test_no_samples(trash_split):
    with pytest.raises(InputError, match=r"^export.samples must be at least 1, received 0. 100 to 500 is usual.$"):
        representative.calibration(trash_split, shape=(48, 48, 3), count=0)
