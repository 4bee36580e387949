"""Boxes one by one: who finds what, curves, confusion and the worst pictures, counted by hand and beside COCO."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_average_precision import NAMES, A, B, said, there
from tfmap import average_precision, detections

C = (0, 60, 20, 80)


def test_an_object_is_found_once_by_the_surest():
    every = detections.judge([said((A, 0.5, 0), (A, 0.9, 0), (B, 0.8, 0))], there([(A, 0), (B, 1)]))
    assert every.scores.tolist() == pytest.approx([0.9, 0.8, 0.5])
    assert every.truths.tolist() == [0, detections.NOTHING, detections.NOTHING]


def test_another_class_is_found_only_where_that_is_allowed():
    every = detections.judge([said((A, 0.9, 1), (A, 0.3, 0))], there([(A, 0)]), across=True)
    assert every.truths.tolist() == [detections.NOTHING, 0]  # its own class goes first, however unsure
    assert detections.judge([said((A, 0.9, 1))], there([(A, 0)]), across=True).truths.tolist() == [0]


@pytest.mark.parametrize("mark", ["crowd", "difficult"])
def test_what_does_not_count_forgives(mark):
    truths = there([(A, 0)], **{mark: [0]})
    every = detections.judge([said((A, 0.9, 0), (B, 0.8, 0))], truths)
    assert every.truths.tolist() == [detections.FORGIVEN, detections.NOTHING]
    assert detections.confusion([said((A, 0.9, 0))], truths, 2, 0.5).sum() == 0


def test_nothing_found_and_nothing_there():
    assert len(detections.judge([], there()).scores) == 0
    assert detections.curves([said()], there([]), NAMES)[0]["average_precision"] is None
    (cat, _) = detections.curves([said()], there([(A, 0)]), NAMES)
    assert (cat["average_precision"], cat["recall"]) == (0, [])
    assert detections.best_threshold(detections.curves([said()], there([]), NAMES)) == (0.5, 0.0)
    assert detections.confusion([said()], there([]), 2, 0.5).tolist() == [[0, 0, 0]] * 3


def test_curves_by_hand():
    found = said((A, 0.9, 0), (C, 0.8, 0), (B, 0.7, 0))
    (cat, dog) = detections.curves([found], there([(A, 0), (B, 0)]), NAMES)
    assert cat["recall"] == pytest.approx([0.5, 0.5, 1.0])
    assert cat["precision"] == pytest.approx([1.0, 0.5, 2 / 3], abs=1e-5)
    assert cat["average_precision"] == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert [cat["f1"][place] for place in (100, 85, 75, 0)] == pytest.approx([0, 2 / 3, 0.5, 0.8], abs=1e-5)
    assert dog["average_precision"] is None
    assert detections.best_threshold([cat, dog]) == (0.69, pytest.approx(0.8))  # 0.7 in float32 is a hair below


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_area_is_near_coco_s(seed):
    """COCO reads the curve at 101 places: at most a hundredth apart for each object, less on average."""
    rng = np.random.default_rng(seed)
    found, rows = [], []
    for _ in range(6):
        corners = rng.uniform(0, 60, (5, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(20, 40, (5, 2))], axis=1).astype("float32")
        rows.append([(tuple(box), int(kind)) for box, kind in zip(boxes, rng.integers(0, 2, 5), strict=True)])
        moved = boxes + rng.normal(0, 2, (5, 4))
        found.append(
            said(*[(tuple(box), score, rng.integers(0, 2)) for box, score in zip(moved, rng.random(5), strict=True)])
        )
    truths = there(*rows)
    coco = average_precision.score(found, truths, NAMES)["per_class"]
    for ours, theirs in zip(detections.curves(found, truths, NAMES), coco, strict=True):
        assert (ours["average_precision"] is None) == (theirs["mAP50"] is None)
        if theirs["mAP50"] is not None:
            assert ours["average_precision"] == pytest.approx(theirs["mAP50"], abs=0.03)


def test_confusion_counts_misses_and_false_alarms():
    found = [said((A, 0.9, 1), (C, 0.8, 0), (B, 0.2, 1)), said()]
    counts = detections.confusion(found, there([(A, 0), (B, 1)], [(A, 0)]), 2, 0.5)
    assert counts.tolist() == [[0, 1, 1], [0, 0, 1], [1, 0, 0]]


def test_the_worst_pictures_come_first():
    found = [said((A, 0.9, 0)), said((C, 0.75, 1)), said((A, 0.9, 0), (C, 0.6, 1))]
    rows = detections.worst(found, there([(A, 0)], [(B, 0)], [(A, 0)]), ["right", "both", "alarm"], NAMES, 0.5)
    assert [(row["id"], row["score"]) for row in rows] == [("both", 1.75), ("alarm", 0.6)]
    assert rows[0]["missed"] == [{"class": "cat", "box": list(B)}]
    assert rows[0]["false_alarms"] == [{"class": "dog", "box": list(C), "score": 0.75}]
