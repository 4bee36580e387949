"""Box maths against counted pixels, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfmap import boxes

SIDE = 24
quick = settings(max_examples=40, deadline=None)
coordinate = st.integers(0, SIDE)


@st.composite
def whole_boxes(draw, count=3):
    """float32 (count, 4): boxes on whole pixels, some of them empty."""
    rows = []
    for _ in range(count):
        (top, bottom), (left, right) = (sorted((draw(coordinate), draw(coordinate))) for _ in range(2))
        rows.append([top, left, bottom, right])
    return np.array(rows, "float32")


def paint(box):
    """Bool (SIDE, SIDE): the pixels of a box."""
    canvas = np.zeros((SIDE, SIDE), bool)
    top, left, bottom, right = box.astype(int)
    canvas[top:bottom, left:right] = True
    return canvas


@quick
@given(whole_boxes(), whole_boxes(2))
def test_areas_and_overlaps_are_counted_pixels(a, b):
    np.testing.assert_array_equal(boxes.area(a), [paint(box).sum() for box in a])
    shared = np.array([[(paint(one) & paint(two)).sum() for two in b] for one in a])
    union = np.array([[(paint(one) | paint(two)).sum() for two in b] for one in a])
    np.testing.assert_array_equal(boxes.intersection(a, b), shared)
    np.testing.assert_allclose(boxes.iou(a, b), shared / np.maximum(union, 1), rtol=1e-6)


@quick
@given(whole_boxes(), whole_boxes())
def test_iou_is_symmetric_within_0_and_1_and_1_with_itself(a, b):
    iou = np.asarray(boxes.iou(a, b))
    np.testing.assert_array_equal(iou, np.asarray(boxes.iou(b, a)).T)
    assert iou.min() >= 0
    assert iou.max() <= 1
    own = np.diag(boxes.iou(a, a))
    np.testing.assert_array_equal(own, np.asarray(boxes.area(a)) > 0)


@quick
@given(whole_boxes(), st.integers(1, SIDE), st.integers(1, SIDE))
def test_clip_is_idempotent_and_the_overlap_with_the_picture(a, height, width):
    shifted = a - 5
    once = boxes.clip(shifted, (height, width))
    np.testing.assert_array_equal(boxes.clip(once, (height, width)), once)
    picture = np.array([[0, 0, height, width]], "float32")
    np.testing.assert_array_equal(boxes.area(once), boxes.intersection(shifted, picture)[:, 0])


@quick
@given(whole_boxes(), st.sampled_from(["xyxy", "xywh", "cxcywh", "yxyx"]))
def test_every_format_leads_back(a, name):
    there = boxes.convert(a, "yxyx", name)
    np.testing.assert_allclose(boxes.convert(there, name, "yxyx"), a, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("xyxy", [3, 2, 13, 8]), ("xywh", [3, 2, 10, 6]), ("cxcywh", [8, 5, 10, 6]), ("yxyx", [2, 3, 8, 13])],
)
def test_formats_are_those_of_their_data_sets(name, numbers):
    np.testing.assert_array_equal(boxes.convert(np.array([[2, 3, 8, 13]], "float32"), "yxyx", name), [numbers])


@quick
@given(whole_boxes(), st.integers(1, 5))
@example(np.array([[0, 13, 0, 13]], "float32"), 5)
def test_the_box_around_its_outline_is_the_box(a, steps):
    outline = np.asarray(boxes.outline(a[None], steps))
    assert outline.shape == (1, len(a), 4 * steps, 2)
    np.testing.assert_array_equal(boxes.around(outline)[0], a)
    y, x = outline[0][..., 0], outline[0][..., 1]
    on_edges = [(y == a[:, k, None]) | (x == a[:, k + 1, None]) for k in (0, 2)]
    assert (on_edges[0] | on_edges[1]).all()


def test_padding_stays_padding():
    nothing = np.zeros((1, 4), "float32")
    for name in ("xyxy", "xywh", "cxcywh"):
        np.testing.assert_array_equal(boxes.convert(nothing, "yxyx", name), nothing)
    np.testing.assert_array_equal(boxes.clip(nothing, (4, 4)), nothing)
    np.testing.assert_array_equal(boxes.iou(nothing, nothing), [[0]])
    np.testing.assert_array_equal(boxes.sides(nothing), [[0], [0]])
