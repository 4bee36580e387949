"""COCO's numbers on cases that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tfmap.average_precision import Found, score
from tfmap.source import Boxes


def there(*pictures, crowd=(), difficult=()):
    """Truths: for each picture a list of (box, class)."""
    rows = [row for picture in pictures for row in picture]
    starts = np.cumsum([0, *map(len, pictures)])
    marks = [np.isin(np.arange(len(rows)), marked) for marked in (crowd, difficult)]
    boxes = np.array([box for box, _ in rows], "float32").reshape(-1, 4)
    return Boxes(starts, boxes, np.array([kind for _, kind in rows], "int32"), *marks)


def said(*rows):
    """Found in a picture: (box, score, class) each."""
    boxes = np.array([row[0] for row in rows], "float32").reshape(-1, 4)
    return Found(boxes, np.array([row[1] for row in rows], "float32"), np.array([row[2] for row in rows], "int32"))


A, B = (0, 0, 40, 40), (50, 50, 90, 90)
NAMES = ("cat", "dog")


def _of(numbers, name):
    """The numbers of one class, without its name."""
    (row,) = [row for row in numbers["per_class"] if row["class"] == name]
    return {key: value for key, value in row.items() if key != "class"}


def test_all_found_is_one():
    numbers = score([said((A, 0.9, 0), (B, 0.8, 1)), said()], there([(A, 0), (B, 1)], []), NAMES)
    assert (numbers["mAP"], numbers["mAP50"], numbers["recall"]) == pytest.approx((1, 1, 1))
    assert (numbers["mAP_small"], numbers["mAP_medium"], numbers["mAP_large"]) == (None, pytest.approx(1), None)
    assert _of(numbers, "dog") == {"mAP": pytest.approx(1), "mAP50": pytest.approx(1), "boxes": 1}


def test_a_box_of_three_quarters_counts_for_half_of_the_thresholds():
    """IoU 0.76: right at 0.5, 0.55 ... 0.75, which are six of ten."""
    narrow = (0, 0, 40, 30.4)
    numbers = score([said((narrow, 0.9, 0))], there([(A, 0)]), NAMES)
    assert (numbers["mAP50"], numbers["mAP75"], numbers["mAP"]) == pytest.approx((1, 1, 0.6))
    assert _of(numbers, "dog") == {"mAP": None, "mAP50": None, "boxes": 0}


def test_a_false_alarm_above_costs_half():
    numbers = score([said((B, 0.9, 0), (A, 0.8, 0))], there([(A, 0)]), NAMES)
    assert numbers["mAP50"] == pytest.approx(0.5)
    assert score([said((B, 0.7, 0), (A, 0.8, 0))], there([(A, 0)]), NAMES)["mAP50"] == pytest.approx(1)


def test_a_second_box_on_one_object_is_a_false_alarm():
    twice = said((A, 0.9, 0), (A, 0.8, 0), (B, 0.7, 0))
    # Recall 1/2 at precision 1, recall 1 at 2/3: 51 of COCO's 101 places have the first, 50 the second.
    assert score([twice], there([(A, 0), (B, 0)]), NAMES)["mAP50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_the_right_place_and_another_class_is_wrong():
    numbers = score([said((A, 0.9, 1))], there([(A, 0)]), NAMES)
    assert (numbers["mAP"], _of(numbers, "cat")["mAP"], _of(numbers, "dog")["mAP"]) == (0, 0, None)


@pytest.mark.parametrize("mark", ["crowd", "difficult"])
def test_what_is_marked_is_neither_missed_nor_a_false_alarm(mark):
    truths = there([(A, 0), (B, 0)], **{mark: [1]})
    for found in (said((A, 0.8, 0)), said((B, 0.9, 0), (A, 0.8, 0))):
        numbers = score([found], truths, NAMES)
        assert numbers["mAP"] == pytest.approx(1)
        assert _of(numbers, "cat")["boxes"] == 1


def test_nothing_found_and_nothing_there():
    assert score([said()], there([(A, 0)]), NAMES)["mAP"] == 0
    assert score([said()], there([]), NAMES)["mAP"] is None
    assert score([said((A, 0.9, 0))], there([]), NAMES)["mAP"] is None


def test_it_prints_nothing(capsys):
    score([said((A, 0.9, 0))], there([(A, 0)]), NAMES)
    assert capsys.readouterr().out == ""
