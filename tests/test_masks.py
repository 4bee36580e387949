"""Scores of masks, on cases that are counted by hand and beside scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score

from tfmap import masks

NAMES = ("a", "b", "c")


def _of(numbers, name):
    """The numbers of one class, without its name."""
    (row,) = [row for row in numbers["per_class"] if row["class"] == name]
    return {key: value for key, value in row.items() if key != "class"}


def test_by_hand():
    truth = np.array([[0, 0, 1, 1], [0, 255, 1, 1]], "uint8")
    said = np.array([[0, 1, 1, 1], [0, 2, 0, 1]], "uint8")
    found = masks.score([said], [truth], NAMES)
    assert _of(found, "a")["IoU"] == pytest.approx(2 / 4)
    assert _of(found, "b")["IoU"] == pytest.approx(3 / 5)
    assert _of(found, "b")["pixels"] == 4
    assert _of(found, "c") == {"IoU": None, "precision": None, "recall": None, "F1": None, "pixels": 0}
    assert found["mIoU"] == pytest.approx((2 / 4 + 3 / 5) / 2)
    assert found["pixel_accuracy"] == pytest.approx(5 / 7)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_as_scikit_learn_has_it(seed):
    rng = np.random.default_rng(seed)
    truths, said = rng.integers(0, 3, (2, 4, 12, 9), dtype=np.uint8)
    found = masks.score(list(said), list(truths), NAMES)
    iou = jaccard_score(truths.ravel(), said.ravel(), average=None, labels=[0, 1, 2])
    np.testing.assert_allclose([_of(found, name)["IoU"] for name in NAMES], iou)
    f1 = f1_score(truths.ravel(), said.ravel(), average=None, labels=[0, 1, 2])
    np.testing.assert_allclose([_of(found, name)["F1"] for name in NAMES], f1)
    assert found["mIoU"] == pytest.approx(iou.mean())


def half(column, size=100):
    """Two halves; the right one begins at a column."""
    mask = np.zeros((size, size), "uint8")
    mask[:, column:] = 1
    return mask


def test_an_edge_that_is_a_pixel_off_is_near_and_one_that_is_five_off_is_not():
    assert masks.boundary_f1(half(50), half(50)) == 1
    assert masks.boundary_f1(half(51), half(50)) == 1
    assert masks.boundary_f1(half(55), half(50)) == 0


def test_half_of_an_edge():
    """All that is said is right, half of what is there was said: an F1 of 2/3, and a little for its rounded end."""
    said = half(50)
    said[50:] = 0
    said[50:, 50:] = 0
    truth = half(50)
    found = masks.boundary_f1(np.where(np.arange(100)[:, None] < 50, said, 255).astype("uint8"), truth)
    assert found == pytest.approx(2 / 3, abs=0.02)


def test_no_edges():
    flat = np.zeros((8, 8), "uint8")
    assert masks.boundary_f1(flat, flat) is None
    assert masks.boundary_f1(half(4, 8), flat) == 0
    assert masks.boundary_f1(half(4, 8), np.full((8, 8), 255, "uint8")) is None
    found = masks.score([flat], [np.full((8, 8), 255, "uint8")], NAMES)
    assert (found["mIoU"], found["pixel_accuracy"], found["boundary_f1"]) == (None, None, None)


def test_nothing_at_all():
    assert masks.score([], [], NAMES)["mIoU"] is None
