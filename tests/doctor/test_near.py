from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.doctor import near


def brute(hashes, distance):
    """Every pair, compared."""
    i, j = np.triu_indices(len(hashes), 1)
    close = np.bitwise_count(hashes[i] ^ hashes[j]) <= distance
    return list(zip(i[close].tolist(), j[close].tolist(), strict=True))


@st.composite
def close_hashes(draw):
    """A few random hashes and many that differ from them in a few bits."""
    seeds = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    flips = draw(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 63), max_size=10)), max_size=40))
    made = [seeds[which % len(seeds)] ^ sum(1 << bit for bit in bits) for which, bits in flips]
    return np.unique(np.array(seeds + made, np.uint64))


@settings(deadline=None)
@given(close_hashes(), st.integers(0, near.LARGEST_DISTANCE))
def test_it_finds_what_comparing_all_finds(hashes, distance):
    assert list(map(tuple, near.join(hashes, distance).tolist())) == brute(hashes, distance)


@pytest.mark.parametrize("distance", [0, 1, 4, 6, 16])
def test_blocks_lose_nothing(distance, monkeypatch):
    monkeypatch.setattr(near, "_BLOCK", 64)
    draw = np.random.default_rng(0)
    hashes = np.unique(draw.integers(0, 2**20, 500).astype(np.uint64))  # all in one run of most bands
    assert list(map(tuple, near.join(hashes, distance).tolist())) == brute(hashes, distance)


@pytest.mark.parametrize("hashes", [[], [5]])
def test_nothing_to_compare(hashes):
    assert near.join(np.array(hashes, np.uint64), 4).shape == (0, 2)
    assert near.groups(np.empty((0, 2), np.int64), len(hashes)) == []


@pytest.mark.parametrize("distance", range(near.LARGEST_DISTANCE + 1))
def test_bands_cover_every_bit_once(distance):
    bits = [bit for shift, width in near.bands(distance) for bit in range(shift, shift + width)]
    assert bits == list(range(64))
    assert len(near.bands(distance)) == distance + 1


def test_too_many_pairs_is_said_not_suffered(monkeypatch):
    monkeypatch.setattr(near, "MOST_PAIRS", 100)
    with pytest.raises(near.TooManyPairs, match="more than 100 pairs of hashes differ in at most 3 bits"):
        near.join(np.arange(64, dtype=np.uint64), 3)


def test_groups_are_what_hangs_together():
    found = near.groups(np.array([[5, 2], [2, 9], [0, 1]]), 10)
    assert [group.tolist() for group in found] == [[0, 1], [2, 5, 9]]
