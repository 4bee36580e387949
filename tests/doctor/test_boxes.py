from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tests.doctor.conftest import encoded
from tfmap.doctor import boxes, findings
from tfmap.source import Boxes

SIZE = (100, 200)  # height, width


def judge(*rows, classes=None, size=SIZE):
    found = boxes.judge(np.array(rows, np.float32).reshape(-1, 4), np.array(classes or [0] * len(rows)), size, 10.0)
    return {kind.name: sorted(which) for kind, which in found.items()}


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((10, 10, 50, 50), None),
        ((0, 0, 100, 200), None),
        ((-0.5, 0, 100.5, 200), None),
        ((10, 10, 10, 50), findings.NO_AREA),
        ((50, 10, 10, 50), findings.NO_AREA),
        ((10, 10, 13, 30), findings.TINY_BOX),
        ((10, 10, 16, 90), findings.SLIM_BOX),
        ((90, 150, 120, 190), findings.PARTLY_OUTSIDE),
        ((-5, 10, 20, 30), findings.PARTLY_OUTSIDE),
        ((120, 10, 160, 50), findings.OUTSIDE),
        ((-40, 10, -10, 50), findings.OUTSIDE),
    ],
)
def test_each_check(box, kind):
    assert judge(box) == ({kind.name: [0]} if kind else {})


def test_a_box_drawn_twice_and_a_box_with_two_classes():
    one, same, other = (10, 10, 50, 50), (10, 10, 50, 50.5), (60, 60, 90, 90)
    assert judge(one, same, other) == {"box drawn twice": [0, 1]}
    assert judge(one, same, other, classes=[0, 1, 1]) == {"box with two classes": [0, 1]}


def test_no_boxes_and_no_size():
    assert judge() == {}
    assert judge((120, 10, 160, 50), size=None) == {}


@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.just(4)), elements=st.floats(-50, 300, width=32)))
def test_overlap_is_one_with_itself_and_the_same_both_ways(table):
    overlap = boxes._overlap(np.asarray(table, np.float64))
    np.testing.assert_allclose(overlap, overlap.T)
    assert ((overlap >= 0) & (overlap <= 1 + 1e-9)).all()
    full = (table[:, 2:] - table[:, :2] > 0.01).all(axis=1)
    np.testing.assert_allclose(np.diag(overlap)[full], 1, rtol=1e-6)


def test_findings_name_the_picture_and_its_boxes(listed, glass):
    table = Boxes(
        np.array([0, 2, 3, 3]),
        np.array([[10, 10, 10, 50], [10, 10, 40, 50], [900, 900, 950, 950]], np.float32),
        np.array([0, 1, 1], np.int32),
        np.zeros(3, bool),
        np.zeros(3, bool),
    )
    seen = listed(glass[:3], labels=np.eye(3, dtype=np.float32), boxes=table)
    cases = {case.kind: case for case in boxes.check(seen, aspect=10)}
    assert cases[findings.NO_AREA].text == "picture 0: a (10, 10, 10, 50)"
    assert cases[findings.NO_AREA].boxes == ((10, 10, 10, 50),)
    assert cases[findings.OUTSIDE].pictures == ("picture 1",)
    assert cases[findings.NO_PICTURES].text == "class 'c' has no box"
    assert cases[findings.NO_BOXES].pictures == ("picture 2",)
    assert not any(case.quarantine for case in cases.values())


def test_boxes_of_a_lying_picture_are_held_against_its_upright_size(listed, photograph):
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = encoded(photograph.resize((200, 100)), exif=exif)  # upright it is 100 wide, 200 high
    table = Boxes(
        np.array([0, 1]), np.array([[150, 10, 190, 90]], np.float32), *(np.zeros(1, t) for t in (int, bool, bool))
    )
    seen = listed([tall], labels=np.ones((1, 3), np.float32), boxes=table)
    assert not [case for case in boxes.check(seen, aspect=10) if case.boxes]


def test_classes_that_are_not_there_and_numbers_that_are_none(listed, glass):
    rows = np.array([[10, 10, 40, 40], [50, 50, 90, 90], [np.nan, 0, 10, 10]], np.float64)
    table = Boxes(np.array([0, 3]), rows, np.array([-1, 7, 0]), np.zeros(3, bool), np.zeros(3, bool))
    seen = listed(glass[:1], labels=np.ones((1, 3), np.float32), boxes=table)
    cases = {case.kind: case for case in boxes.check(seen, aspect=10)}
    assert cases[findings.NO_CLASS].text == "picture 0: class -1 (10, 10, 40, 40); class 7 (50, 50, 90, 90)"
    assert cases[findings.NO_AREA].text == "picture 0: a (nan, 0, 10, 10)"
    assert cases[findings.NO_AREA].boxes == ()


def test_imbalance_is_counted_in_boxes(listed, glass):
    classes = np.array([0, 0, 0, 0, 0, 1], np.int32)
    rows = np.array([[30 * i, 30, 30 * i + 20, 60] for i in range(6)], np.float32)
    table = Boxes(np.array([0, 6]), rows, classes, np.zeros(6, bool), np.zeros(6, bool))
    seen = listed(glass[:1], labels=np.array([[1, 1, 0]], np.float32), boxes=table)
    lines = [case.text for case in boxes.check(seen, aspect=10) if case.kind is findings.IMBALANCE]
    assert lines == ["a has 5 boxes, 5.0 times b with 1"]


def test_without_boxes_there_is_nothing_to_find(listed, glass):
    assert list(boxes.check(listed(glass[:1]), aspect=10)) == []
