"""Windows of a picture: they cover it, and what is said of them is said of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfmap import windows
from tfmap.average_precision import Found

SIDES = st.integers(8, 60)


@given(SIDES, SIDES, st.integers(3, 8), st.integers(3, 8), st.floats(0, 0.9))
def test_windows_cover_a_picture_and_stay_in_it(height, width, high, wide, overlap):
    places, seen = windows.corners((height, width), (high, wide), overlap), np.zeros((height, width), bool)
    for top, left in places:
        assert 0 <= top <= height - high
        assert 0 <= left <= width - wide
        seen[top : top + high, left : left + wide] = True
    assert seen.all()
    steps = np.diff(np.unique(places[:, 0]))
    assert (steps <= np.ceil(max(high * (1 - overlap), 1))).all()


@given(SIDES, SIDES, st.floats(0, 0.9), st.integers(0, 9))
def test_what_all_windows_say_alike_is_said_of_the_picture(height, width, overlap, seed):
    """Windows that show parts of a field give the field."""
    field = np.random.default_rng(seed).uniform(size=(height, width, 2)).astype("float32")
    places = windows.corners((height, width), (8, 8), overlap)
    parts = windows.cut(field, places, (8, 8))
    np.testing.assert_allclose(windows.blended(parts, places, (height, width)), field, rtol=1e-5)


def test_the_middle_of_a_window_has_more_to_say():
    parts = np.stack([np.zeros((4, 8, 1)), np.ones((4, 8, 1))]).astype("float32")
    found = windows.blended(parts, np.array([[0, 0], [0, 4]]), (4, 12))[0, :, 0]
    assert found[:4].tolist() == [0.0] * 4
    assert found[8:].tolist() == [1.0] * 4
    assert (np.diff(found[3:9]) > 0).all()


@pytest.mark.parametrize(
    ("whole", "expected"), [((8, 8), False), ((8, 9), True), ((7, 20), False), ((20, 30), True), ((8, 7), False)]
)
def test_which_pictures_are_large_enough(whole, expected):
    assert windows.fits(whole, (8, 8)) is expected


def found(*rows):
    boxes, scores, classes = zip(*rows, strict=True) if rows else ((), (), ())
    return Found(
        np.array(boxes, "float32").reshape(-1, 4), np.array(scores, "float32"), np.array(classes, "int32").reshape(-1)
    )


PLACES = np.array([[0, 0], [0, 60]], np.int32)  # of 100 pixels each, in a picture of 100 x 160
TOLD = {"window": (100, 100), "whole": (100, 160), "overlap": 0.6}


def test_an_object_in_two_windows_is_found_once():
    left, right = found(([10, 65, 40, 90], 0.8, 1)), found(([11, 5, 41, 30], 0.9, 1))
    answer = windows.gathered([left, right], PLACES, **TOLD)
    assert answer.boxes.tolist() == [[11, 65, 41, 90]]
    assert answer.scores.tolist() == [np.float32(0.9)]


def test_a_part_goes_even_where_it_is_surer_than_the_whole():
    """The left window ends at 100 and sees half of what the right one sees whole."""
    left, right = found(([10, 80, 40, 100], 0.95, 0)), found(([10, 20, 40, 60], 0.7, 0))
    answer = windows.gathered([left, right], PLACES, **TOLD)
    assert answer.boxes.tolist() == [[10, 80, 40, 120]]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (([10, 80, 40, 100], 0.95, 0), ([10, 20, 40, 60], 0.7, 1)),  # another class
        (([10, 60, 40, 80], 0.95, 0), ([10, 5, 40, 60], 0.7, 0)),  # ends at no edge
        (([60, 80, 90, 100], 0.95, 0), ([10, 20, 40, 60], 0.7, 0)),  # lies elsewhere
    ],
)
def test_others_stay(left, right):
    assert len(windows.gathered([found(left), found(right)], PLACES, **TOLD).scores) == 2


def test_the_edge_of_the_picture_cuts_nothing():
    left, right = found(([0, 0, 30, 30], 0.9, 0)), found(([70, 70, 100, 100], 0.8, 0))
    answer = windows.gathered([left, right], PLACES, **TOLD)
    assert answer.boxes.tolist() == [[0, 0, 30, 30], [70, 130, 100, 160]]


def test_nothing_at_all():
    assert len(windows.gathered([found(), found()], PLACES, **TOLD).scores) == 0
