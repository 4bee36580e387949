"""Proposals and aligned regions, against suppression one by one and a loop over every point."""

from __future__ import annotations

import numpy as np
import pytest

from tfmap import boxes as geometry
from tfmap.tasks.detectors import regions


def some(seed, many, size=(64, 96)):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 0.7, (many, 2)) * size
    return np.concatenate([low, low + rng.uniform(8, 40, (many, 2))], axis=1).astype("float32")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_what_is_uncovered_is_what_suppression_leaves(seed, threshold):
    found = some(seed, 60)
    kept = geometry.suppress(found, np.linspace(1, 0, 60), threshold=threshold, most=60)
    stays = np.asarray(regions.uncovered(found[None], threshold, rounds=20))[0]
    assert np.flatnonzero(stays).tolist() == sorted(kept.tolist())
    assert 2 < len(kept) < 60


def test_proposals_are_the_best_that_stay_and_then_the_best_that_do_not():
    a, near, b = (0, 0, 20, 20), (0, 0, 20, 19), (40, 40, 80, 120)
    found = np.array([[b, near, a]], "float32")
    scores = np.array([[[0.2], [0.8], [0.9]]], "float32")
    layer = regions.Proposals((64, 96), 3)
    clipped = (40, 40, 64, 96)
    np.testing.assert_array_equal(layer([found, scores])[0], [a, clipped, near])
    np.testing.assert_array_equal(regions.Proposals((64, 96), 1)([found, scores])[0], [a])
    np.testing.assert_array_equal(regions.Proposals((64, 96), 2, among=2)([found, scores])[0], [a, near])


def sampled(x, y, column):
    """A map (h, w, C) between its places, at a point in places; beyond the last centre it is that one."""
    height, width, _ = x.shape
    y, column = np.clip(y - 0.5, 0, height - 1), np.clip(column - 0.5, 0, width - 1)
    top, left = min(int(y), height - 2), min(int(column), width - 2)
    b, r = y - top, column - left
    rows = (1 - b) * x[top : top + 1, left : left + 2] + b * x[top + 1 : top + 2, left : left + 2]
    return (1 - r) * rows[0, 0] + r * rows[0, 1]


def aligned(box, x, stride, bins):
    """RoIAlign, a point at a time."""
    found = np.zeros((bins, bins, x.shape[-1]))
    (top, left), (high, wide) = box[:2], (box[2:] - box[:2]) / bins
    for i in range(bins):
        for j in range(bins):
            for dy in (0.25, 0.75):
                for dx in (0.25, 0.75):
                    y, column = (top + (i + dy) * high) / stride, (left + (j + dx) * wide) / stride
                    found[i, j] += sampled(x, y, column) / 4
    return found


def test_regions_are_aligned_as_by_loops():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 8, 12, 3)).astype("float32")
    found = np.stack([some(1, 5), some(2, 5)])
    found[0, 0], found[0, 1] = (0, 0, 64, 96), (-9, 50, 20, 120)  # to the border, and beyond it
    received = regions.Align(3, (8,))([found, x])
    assert received.shape == (2, 5, 3, 3, 3)
    for picture in range(2):
        for place in range(5):
            expected = aligned(found[picture, place], x[picture], 8, 3)
            np.testing.assert_allclose(received[picture, place], expected, atol=1e-4)


def test_large_boxes_are_looked_at_on_coarse_maps():
    """On maps that say their own level; 224 pixels are P4's."""
    maps = [np.full((1, 512 // stride, 512 // stride, 1), stride, "float32") for stride in (8, 16, 32)]
    sides = np.array([1, 100, 111, 113, 223, 225, 447, 449, 512], "float32")
    found = np.stack([np.zeros_like(sides), np.zeros_like(sides), sides, sides], axis=-1)[None]
    received = np.asarray(regions.Align(2, (8, 16, 32))([found, *maps]))[0, :, 0, 0, 0]
    assert received.tolist() == [8, 8, 8, 8, 8, 16, 16, 32, 32]


def test_codes_of_nothing_are_the_proposals():
    found = some(0, 4)[None]
    layer = regions.Refined("faster_rcnn")
    np.testing.assert_allclose(layer([np.zeros((1, 4, 4), "float32"), found]), found, rtol=1e-5)
