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


def test_others_are_none_of_those_that_calibrate(trash_split):
    shared = {"shape": (48, 48, 3), "seed": 1}
    first = representative.calibration(trash_split, count=12, **shared)
    rest = representative.others(trash_split, count=18, after=12, **shared)
    both = np.concatenate([first, rest])
    assert len(both) == 30
    assert len(np.unique(both.reshape(30, -1), axis=0)) == 30
    everything = representative.others(trash_split, count=500, after=12, **shared)
    assert len(everything) == 36


def test_nothing_is_left_for_others(trash_split):
    found = representative.others(trash_split, shape=(48, 48, 3), count=5, after=48)
    assert found.shape == (0, 48, 48, 3)


def test_batches_bring_their_labels(trash_split):
    found = list(representative.read(trash_split, shape=(48, 48, 3)))
    np.testing.assert_array_equal(np.concatenate([batch["label"] for batch in found]), trash_split.labels)
    assert all((batch["weight"] > 0).all() for batch in found)
