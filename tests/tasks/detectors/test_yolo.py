"""Distributions over distances: what is expected of them, and how far they are from the truth, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tfmap import boxes
from tfmap.tasks.detectors import anchors, heads, yolo

CELLS = anchors.cells((64, 64), (16,))


def certain(distances, bins=16):
    """Logits (1, A, 4 * bins) of distributions that are sure of whole distances (A, 4)."""
    return (60 * np.eye(bins)[np.asarray(distances)]).reshape(1, len(distances), -1).astype("float32")


def test_codes_are_those_of_the_box_that_is_expected():
    codes = yolo.Expected()(np.tile(certain([[1, 2, 3, 1]]), (1, len(CELLS), 1)))
    found = np.asarray(heads.Boxes((64, 64), (16,))(codes))[0]
    centres = (CELLS[:, :2] + CELLS[:, 2:]) / 2
    expected = np.concatenate([centres - 16 * np.array([1, 2]), centres + 16 * np.array([3, 1])], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(yolo.distances(found, CELLS), np.tile([1, 2, 3, 1], (len(CELLS), 1)), atol=1e-4)


@pytest.mark.parametrize("distances", [[0, 0, 0, 0], [15, 15, 15, 15], [15, 0, 0, 15]])
def test_codes_stay_within_reach(distances):
    codes = np.asarray(yolo.Expected()(certain([distances])))
    assert np.isfinite(codes).all()
    assert (np.abs(codes) <= 1).all()
    found = boxes.decode(heads.REACH * codes[0], CELLS[:1])
    assert (np.asarray(found)[:, 2:] > np.asarray(found)[:, :2]).all()


def test_distribution_focal_by_hand():
    """A distance of 1.25 is three quarters of a one and a quarter of a two."""
    logits = np.zeros((1, 1, 16), "float32")
    logits[0, 0, :4] = np.log([0.1, 0.4, 0.3, 0.2])
    quarter = np.log(4)  # of the three edges that say nothing, whatever the truth is
    found = yolo.distribution_focal(logits, np.array([[[1.25, 0, 3, 2.5]]], "float32"))
    expected = (-(0.75 * np.log(0.4) + 0.25 * np.log(0.3)) + 3 * quarter) / 4
    assert float(found[0, 0]) == pytest.approx(expected, rel=1e-5)


def test_distances_beyond_the_bins_count_as_the_last_one():
    logits = certain([[0, 3, 0, 3]], bins=4)
    near, far = (
        yolo.distribution_focal(logits, np.array([[d]], "float32")) for d in ([0, 3, 0, 3], [-9, 99, -0.1, 3.5])
    )
    assert float(near[0, 0]) == float(far[0, 0]) == pytest.approx(0, abs=1e-6)


def test_edges_are_two_strides_away_at_first():
    start = np.tile(yolo._START, 4).astype("float32")[None, None]
    each = np.exp(start[0, 0, :16]) / np.exp(start[0, 0, :16]).sum()
    assert (each * np.arange(16)).sum() == pytest.approx(2, abs=0.05)
    sides = np.exp(heads.REACH * np.asarray(yolo.Expected()(start))[0, 0, 2:])
    np.testing.assert_allclose(sides, 4, atol=0.1)
