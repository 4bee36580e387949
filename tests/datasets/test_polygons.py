from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from tfmap.datasets import polygons
from tfmap.datasets.polygons import Shapes, draw, segment

SIZE = (20, 30)


def square(y0, x0, y1, x1):
    return [[x0, y0, x1, y0, x1, y1, x0, y1]]


def drawn(*objects, share=False):
    size = (1, 1) if share else SIZE
    return draw(Shapes(*SIZE, 1, share, tuple((k, segment(written, size), crowd) for k, written, crowd in objects)))


def test_a_square():
    want = np.zeros(SIZE, np.uint8)
    want[4:12, 6:20] = 3
    np.testing.assert_array_equal(drawn((2, square(4, 6, 12, 20), False)), want)
    shares = [[x / (30 if i % 2 == 0 else 20) for i, x in enumerate(square(4, 6, 12, 20)[0])]]
    np.testing.assert_array_equal(drawn((2, shares, False), share=True), want)


@pytest.mark.parametrize("order", [1, -1])
def test_small_on_large_on_crowds(order):
    objects = [(0, square(0, 0, 20, 30), True), (1, square(2, 2, 18, 28), False), (2, square(5, 5, 8, 8), False)]
    mask = drawn(*objects[::order])
    assert mask[0, 0] == 255
    assert mask[3, 3] == 2
    assert mask[6, 6] == 3


def test_no_objects_are_background():
    assert not drawn().any()


def test_two_polygons_are_one_object():
    mask = drawn((0, square(0, 0, 4, 4) + square(10, 10, 14, 14), False))
    assert mask[1, 1] == mask[11, 11] == 1
    assert mask[7, 7] == 0


@given(st.lists(st.booleans(), min_size=600, max_size=600))
def test_run_lengths_as_text_and_as_numbers(bits):
    mask = np.asfortranarray(np.array(bits, np.uint8).reshape(SIZE))
    runs = coco_mask.encode(mask)
    text = runs["counts"].decode()
    lengths = polygons._lengths(text)
    assert sum(lengths) == 600
    for counts in (text, lengths):
        outline = segment({"size": list(SIZE), "counts": counts}, SIZE)
        np.testing.assert_array_equal(draw(Shapes(*SIZE, 1, False, ((0, outline, False),))), mask)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_text_that_is_no_run_length_is_refused_before_it_is_decoded(text):
    try:
        outline = segment({"size": list(SIZE), "counts": text}, SIZE)
    except ValueError:
        return
    assert draw(Shapes(*SIZE, 1, False, ((0, outline, False),))).shape == SIZE


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (None, "has no outline"),
        ([], "has no outline"),
        ("x", "has no outline"),
        ([[1, 2, 3, 4]], "has an outline of 2 corners"),
        ([[1, 2, 3]], "has an outline that is no list of x and y"),
        ([["a", 2, 3, 4, 5, 6]], "has an outline that is no list of x and y"),
        ([3], "has an outline that is no list of x and y"),
        ([[1, 2, 3, 4, 5, float("nan")]], "has an outline that lies outside the picture"),
        ([[1, 2, 3, 4, 5, 1e18]], "has an outline that lies outside the picture"),
        ({"size": [3, 3], "counts": [9]}, r"has run lengths of size \[3, 3\], not \[20, 30\]"),
        ({"size": [20, 30], "counts": [599]}, "has run lengths that do not add up to the picture"),
        ({"size": [20, 30], "counts": [-1, 601]}, "has run lengths that do not add up to the picture"),
        ({"size": [20, 30], "counts": "\x00zz~"}, "has run lengths that do not add up to the picture"),
        ({"size": [20, 30]}, "has run lengths that do not add up to the picture"),
    ],
)
def test_what_is_no_outline(written, reason):
    with pytest.raises(ValueError, match=f"^{reason}$"):
        segment(written, SIZE)


def test_shapes_travel_to_another_process():
    shapes = Shapes(*SIZE, 6, False, ((0, segment(square(1, 1, 5, 9), SIZE), False),))
    np.testing.assert_array_equal(draw(pickle.loads(pickle.dumps(shapes))), draw(shapes))
    assert draw(shapes).shape == (30, 20)
