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


@quick
@given(whole_boxes(), whole_boxes())
def test_pairs_are_the_diagonal_of_all(a, b):
    np.testing.assert_allclose(boxes.overlap(a, b), np.diag(boxes.iou(a, b)), rtol=1e-6)


@quick
@given(whole_boxes(), whole_boxes())
def test_generalised_iou_is_counted_in_pixels(a, b):
    for one, two, received in zip(a, b, np.asarray(boxes.giou(a, b)), strict=True):
        hull = paint(np.concatenate([np.minimum(one[:2], two[:2]), np.maximum(one[2:], two[2:])])).sum()
        union, shared = (paint(one) | paint(two)).sum(), (paint(one) & paint(two)).sum()
        assert received == pytest.approx(shared / max(union, 1) - (hull - union) / max(hull, 1), abs=1e-6)


def test_complete_iou_of_a_case_by_hand():
    a, b = np.array([[0, 0, 4, 2]], "float32"), np.array([[2, 0, 6, 4]], "float32")
    shared = 4 / (8 + 16 - 4)
    apart = (2**2 + 1**2) / (6**2 + 4**2)
    shape = 4 / np.pi**2 * (np.arctan(2 / 4) - np.arctan(4 / 4)) ** 2
    alpha = shape / (1 - shared + shape)
    assert float(boxes.ciou(a, b)[0]) == pytest.approx(shared - apart - alpha * shape, abs=1e-6)


@quick
@given(whole_boxes())
def test_a_box_agrees_with_itself_whatever_the_measure(a):
    there = np.asarray(boxes.area(a)) > 0
    for measure in (boxes.overlap, boxes.giou, boxes.ciou):
        received = np.asarray(measure(a, a))
        assert np.isfinite(received).all()
        np.testing.assert_allclose(received[there], 1, atol=1e-6)


@pytest.mark.parametrize("measure", [boxes.giou, boxes.ciou])
def test_apart_a_step_nearer_is_better(measure):
    a = np.tile(np.array([0, 0, 4, 4], "float32"), (5, 1))
    b = a + np.arange(4, 9, dtype="float32")[:, None]
    assert (np.diff(measure(a, b)) < 0).all()


@quick
@given(whole_boxes(), whole_boxes())
def test_codes_come_back_as_the_boxes(a, anchors):
    a[:, 2:] += 1
    anchors[:, 2:] += 1
    np.testing.assert_allclose(boxes.decode(boxes.encode(a, anchors), anchors), a, atol=1e-3)


def test_codes_by_hand():
    box, anchor = np.array([[2, 3, 6, 11]], "float32"), np.array([[0, 0, 4, 4]], "float32")
    np.testing.assert_allclose(boxes.encode(box, anchor), [[2 / 4, 5 / 4, 0, np.log(2)]], rtol=1e-6)


def greedy(found, scores, threshold):
    """Suppression by the book, one pair after the other."""
    kept, iou = [], np.asarray(boxes.iou(found, found))
    for i in np.argsort(-scores, kind="stable"):
        if all(iou[i, j] <= threshold for j in kept):
            kept.append(i)
    return kept


@quick
@given(whole_boxes(6), st.lists(st.integers(0, 3), min_size=6, max_size=6), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_suppression_is_greedy(found, scores, threshold):
    found[:, 2:] += 1
    scores = np.array(scores, "float32")
    assert boxes.suppress(found, scores, threshold=threshold).tolist() == greedy(found, scores, threshold)
    assert len(boxes.suppress(found, scores, threshold=threshold, most=2)) == min(
        2, len(greedy(found, scores, threshold))
    )


def test_suppression_of_many_agrees_with_tensorflow():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    low = rng.uniform(0, 300, (1000, 2))
    found = np.concatenate([low, low + rng.uniform(5, 80, (1000, 2))], axis=1).astype("float32")
    scores = rng.uniform(size=1000).astype("float32")
    expected = tf.image.non_max_suppression(found, scores, 100, iou_threshold=0.5).numpy()
    np.testing.assert_array_equal(boxes.suppress(found, scores), expected)


def test_nothing_to_suppress():
    assert boxes.suppress(np.zeros((0, 4), "float32"), np.zeros(0, "float32")).tolist() == []
