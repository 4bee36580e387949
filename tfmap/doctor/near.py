"""Pairs of 64-bit hashes that differ in few bits, among a million of them.

Two hashes at a distance of d bits at most agree in at least one of d + 1 bands of their bits (the pigeonhole
principle), so only hashes that share a band are compared: each band is sorted, and its runs of equal values are
compared in blocks. Memory is bounded by the block and by the pairs found, time by the sizes of the runs.

Source: Norouzi, Punjani, Fleet, Fast Search in Hamming Space with Multi-Index Hashing, 2012, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tfmap.progress import shown

BITS = 64
LARGEST_DISTANCE = 16  # random hashes start to agree there: 1 pair of 24,000
MOST_PAIRS = 20_000_000  # 320 MB
_SHOW_FROM = 100_000  # hashes; fewer are compared in a second
_BLOCK = 1 << 21  # comparisons at a time: 16 MB of differences


class TooManyPairs(Exception):  # noqa: N818 (it ends one check, not the examination)
    """Most pictures look alike to the hash, so that pairs tell nothing and would fill the memory."""


def join(hashes: np.ndarray, distance: int) -> np.ndarray:
    """Every pair of different hashes that differ in at most `distance` bits.

    Args:
        hashes: uint64 (N,), rising, no value twice (as np.unique gives them).
        distance: most bits, 0 to 16.

    Returns:
        int64 (P, 2): places i < j, sorted, each pair once.

    Raises:
        TooManyPairs: more than 20 million.
    """
    found, count = [np.empty((0, 2), np.int64)], 0
    for pairs in _by_band(hashes, distance):
        count += len(pairs)
        if count > MOST_PAIRS:
            raise TooManyPairs(f"more than {MOST_PAIRS:,} pairs of hashes differ in at most {distance} bits")
        found.append(pairs)
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def groups(pairs: np.ndarray, count: int) -> list[np.ndarray]:
    """What hangs together by pairs.

    Args:
        pairs: int64 (P, 2), in [0, count).
        count: items N.

    Returns:
        arrays of two or more items, rising; the groups in the order of their first items.
    """
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, label = connected_components(links, directed=False)
    members = np.unique(pairs)
    order = members[np.argsort(label[members], kind="stable")]
    cuts = np.flatnonzero(np.diff(label[order])) + 1
    return sorted(np.split(order, cuts), key=lambda group: group[0]) if len(order) else []


def bands(distance: int) -> list[tuple[int, int]]:
    """(shift, width) of the distance + 1 bands that the 64 bits fall in."""
    edges = [BITS * band // (distance + 1) for band in range(distance + 2)]
    return [(low, high - low) for low, high in zip(edges, edges[1:], strict=False)]


def _by_band(hashes: np.ndarray, distance: int) -> Iterator[np.ndarray]:
    cuts = bands(distance)
    worth = len(hashes) >= _SHOW_FROM
    for number, (shift, width) in shown(enumerate(cuts), len(cuts), "Comparing hashes", worth=worth):
        keys = _band(hashes, shift, width)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = (
            np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(keys) else np.empty(0, int)
        )
        ends = np.append(starts[1:], len(keys))
        several = ends - starts > 1
        for start, end in zip(starts[several].tolist(), ends[several].tolist(), strict=True):
            yield from _in_run(hashes, order[start:end], distance, cuts[:number])


def _in_run(
    hashes: np.ndarray, members: np.ndarray, distance: int, earlier: list[tuple[int, int]]
) -> Iterator[np.ndarray]:
    """Pairs among the members of one run, which share a band; those that share an earlier band are known already."""
    values = hashes[members]
    step = max(1, _BLOCK // len(values))
    for start in range(0, len(values) - 1, step):
        rows = values[start : start + step]
        near = np.bitwise_count(rows[:, None] ^ values[None, start + 1 :]) <= distance
        i, j = np.nonzero(near)
        later = j >= i  # column j stands for member start + 1 + j
        i, j = start + i[later], start + 1 + j[later]
        known = np.zeros(len(i), bool)
        for shift, width in earlier:
            known |= _band(values[i] ^ values[j], shift, width) == 0
        if not known.all():
            yield np.stack([members[i[~known]], members[j[~known]]], 1)


def _band(hashes: np.ndarray, shift: int, width: int) -> np.ndarray:
    mask = np.uint64((1 << width) - 1)
    return (hashes >> np.uint64(shift)) & mask
