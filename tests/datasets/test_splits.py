from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tfmap.datasets.splits import place, split

DIGESTS = st.lists(st.integers(0, 10**6).map(str), min_size=1, max_size=60, unique=True)
FRACTIONS = st.tuples(st.floats(0, 0.6), st.floats(0, 0.39))


def cut(digests, labels, val=0.2, test=0.0, seed=0):
    return split(digests, np.array(labels), val_fraction=val, test_fraction=test, seed=seed)


@given(st.text(max_size=20), st.integers())
def test_a_place_is_in_zero_one_and_stays(digest, seed):
    assert 0 <= place(digest, seed) < 1
    assert place(digest, seed) == place(digest, seed)


def test_places_are_spread_evenly_and_seeds_differ():
    places = np.array([place(str(i), 0) for i in range(5000)])
    counts, _ = np.histogram(places, 10, (0, 1))
    assert np.abs(counts - 500).max() < 110  # five standard deviations
    others = np.array([place(str(i), 1) for i in range(5000)])
    assert abs(np.corrcoef(places, others)[0, 1]) < 0.07


@given(DIGESTS, FRACTIONS, st.integers(0, 5), st.data())
def test_each_class_of_two_or_more_has_train_and_val(digests, fractions, seed, data):
    labels = data.draw(st.lists(st.integers(0, 3), min_size=len(digests), max_size=len(digests)))
    parts = cut(digests, labels, *fractions, seed)
    for label in set(labels):
        mine = [part for part, other in zip(parts, labels, strict=True) if other == label]
        if len(mine) >= 2 and fractions[0] > 0:
            assert {"train", "val"} <= set(mine)


@given(DIGESTS, st.integers(0, 30))
def test_a_part_depends_on_nothing_but_the_content(digests, dropped):
    """With classes large enough for the rule on small ones not to apply."""
    fillers = [f"filler {i}" for i in range(100)]
    whole = dict(zip([*digests, *fillers], cut([*digests, *fillers], [0] * (len(digests) + 100)), strict=True))
    fewer = digests[dropped:]
    parts = cut([*fillers, *fewer[::-1]], [0] * (len(fewer) + 100))[100:]
    assert list(parts[::-1]) == [whole[digest] for digest in fewer]


@given(DIGESTS)
def test_equal_content_stands_on_one_side(digests):
    twice = [*digests, *digests]
    parts = cut(twice, [0] * len(twice), 0.5, 0.1)
    np.testing.assert_array_equal(parts[: len(digests)], parts[len(digests) :])


def test_shares_come_close():
    parts = cut([str(i) for i in range(10000)], [0] * 10000, 0.25, 0.1)
    assert abs(np.mean(parts == "val") - 0.25) < 0.02
    assert abs(np.mean(parts == "test") - 0.1) < 0.015


def test_larger_fractions_only_add():
    digests = [str(i) for i in range(500)]
    small, large = (cut(digests, [0] * 500, share) == "val" for share in (0.1, 0.3))
    assert (large | ~small).all()


def test_one_picture_of_a_class_stays_in_train_or_where_it_falls():
    assert set(cut(["a"], [0], 0.0)) == {"train"}


def test_several_labels_are_cut_by_content_alone():
    digests = [str(i) for i in range(200)]
    several = cut(digests, np.eye(2)[np.arange(200) % 2].astype(np.float32))
    np.testing.assert_array_equal(several, cut(digests, [0] * 200))
