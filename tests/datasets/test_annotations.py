from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tfmap.datasets.annotations import Annotations, number, side
from tfmap.errors import InputError


@pytest.mark.parametrize("value", [None, "", "x", [], {}, "1e", 10**400, "nan"])
def test_what_is_no_number_is_nan(value):
    assert math.isnan(number(value))


def test_numbers_and_sides():
    assert number(" 1.5 ") == 1.5
    assert number("1e400") == math.inf
    assert [side(value) for value in (640, "480", 3.0)] == [640, 480, 3]
    assert [side(value) for value in (0, -1, None, "x", math.nan, math.inf, 1e12)] == [0] * 7


def test_boxes_belong_to_the_picture_before_them():
    found = Annotations()
    found.add("a.jpg", "train")
    found.add("b.jpg", "val", (3, 4))
    found.box((1, 2, 3, 4), 0, crowd=True)
    found.box((5, 6, 7, 8), 10**12, difficult=True)
    found.add("c.jpg", "")
    found.skip("d.jpg", "is gone")
    found.bad("e.xml", "is wrong")
    listing = found.listing(("x",), Path("s"), unit="share")
    np.testing.assert_array_equal(listing.boxes.starts, [0, 0, 2, 2])
    np.testing.assert_array_equal(listing.boxes.boxes, [[1, 2, 3, 4], [5, 6, 7, 8]])
    np.testing.assert_array_equal(listing.boxes.crowd, [True, False])
    np.testing.assert_array_equal(listing.boxes.difficult, [False, True])
    assert listing.boxes.classes[1] == 2**31 - 1  # no class, and still a number that a box can hold
    np.testing.assert_array_equal(listing.sizes, [[0, 0], [3, 4], [0, 0]])
    assert list(listing.parts) == ["train", "val", ""]
    assert listing.unit == "share"
    assert listing.target == "boxes"
    assert listing.skipped[0].path == "d.jpg"
    assert listing.findings == {"bad annotation": ("e.xml: is wrong",)}


def test_no_pictures():
    found = Annotations()
    with pytest.raises(InputError, match=r"^datasets: s names no pictures\.$"):
        found.listing(("x",), Path("s"), unit="share")
    found.skip("d.jpg", "is gone")
    with pytest.raises(InputError, match=r"names no pictures\. The first that was left out: d.jpg: is gone\.$"):
        found.listing(("x",), Path("s"), unit="share")


def test_a_part_of_a_listing_keeps_what_belongs_to_it():
    found = Annotations()
    for index in range(3):
        found.add(f"{index}.jpg", "", (index, index))
        found.box((index, 0, 9, 9), 0)
    part = found.listing(("x",), Path("s"), unit="pixels").take(np.array([2, 0]))
    assert list(part.ids) == ["2.jpg", "0.jpg"]
    assert part.boxes.boxes[:, 0].tolist() == [2, 0]
    assert part.sizes[:, 0].tolist() == [2, 0]
