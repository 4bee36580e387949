"""The losses of retinanet, ssd and faster_rcnn by hand, on maps so small that every anchor can be counted."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tasks.detectors.test_losses import bce
from tfmap import boxes
from tfmap.tasks.detectors import anchors, faster_rcnn, heads, retinanet, ssd


class Net:
    """A model of one layer."""

    def __init__(self, shapes):
        self.boxes = self.proposal_boxes = heads.Boxes((32, 32), (16,), shapes)

    def get_layer(self, name):
        return getattr(self, name)


NET = Net(anchors.CELL)  # four cells of 16
ALONE = {"boxes": np.array([[[0, 0, 16, 12]]], "float32"), "classes": np.array([[1]], "int32")}
SCORES = np.array([[[0.1, 0.2], [0.3, 0.1], [0.9, 0.1], [0.1, 0.1]]], "float32")
SAID = {"boxes": NET.boxes.anchors[None], "scores": SCORES}


def test_retinanet():
    near, far = 0.25 * 0.8**2 * bce(1, 0.2), sum(0.75 * s**2 * bce(0, s) for s in (0.1, 0.3, 0.1, 0.9, *[0.1] * 3))
    expected = near + far + 2.0 * (1 - 0.75)
    assert float(retinanet.loss(NET)(ALONE, SAID)[0]) == pytest.approx(expected, rel=1e-4)
    assert retinanet.loss(NET, gamma=3.0)(ALONE, SAID)[0] < expected


def test_retinanet_does_not_ask_anchors_between():
    """An object over two cells: one answers for it, the other overlaps it by less than half and says what it likes."""
    between = {"boxes": np.array([[[0, 0, 16, 30]]], "float32"), "classes": np.array([[1]], "int32")}
    answered = np.asarray(boxes.iou(between["boxes"][0], NET.boxes.anchors))[0]
    assert answered[0] > 0.5 > answered[1] > 0.4
    other = SCORES.copy()
    other[0, 1] = 0.99
    same = [float(retinanet.loss(NET)(between, {**SAID, "scores": s})[0]) for s in (SCORES, other)]
    assert same[0] == pytest.approx(same[1], rel=1e-6)


def test_ssd_asks_the_three_worst():
    costs = np.array([sum(bce(0, s) for s in row) for row in SCORES[0]])
    mine = bce(0, 0.1) + bce(1, 0.2)
    code = [0, (6 - 8) / 16, 0, np.log(12 / 16)]  # the code of the object; that of what is said is 0
    expected = mine + costs[1:].sum() + sum(0.5 * c**2 for c in code)
    assert float(ssd.loss(NET)(ALONE, SAID)[0]) == pytest.approx(expected, rel=1e-4)
    nothing = {"boxes": np.zeros((1, 1, 4), "float32"), "classes": np.array([[-1]], "int32")}
    assert float(ssd.loss(NET)(nothing, SAID)[0]) == pytest.approx(np.sort(costs)[1:].sum(), rel=1e-4)
    focal = sum(s**2 * bce(0, s) for s in SCORES.ravel())
    assert float(ssd.loss(NET, gamma=2.0)(nothing, SAID)[0]) == pytest.approx(focal, rel=1e-4)


def test_faster_rcnn_learns_from_both_stages():
    """Proposals are the cells; of both stages the first has the object, three quarters of it."""
    first = np.array([[[0.3], [0.1], [0.2], [0.4]]], "float32")
    proposed = {"proposals": SAID["boxes"], "proposal_boxes": SAID["boxes"], "proposal_scores": first}
    costs = [sum(bce(0, s) for s in row) for row in SCORES[0]]
    expected = 0.5 * bce(1, 0.3) + 0.5 * np.mean([bce(0, s) for s in (0.1, 0.2, 0.4)]) + 2.0 * (1 - 0.75)
    expected += 0.25 * (bce(0, 0.1) + bce(1, 0.2)) + 0.75 * np.mean(costs[1:]) + 2.0 * (1 - 0.75)
    loss = faster_rcnn.loss(NET)
    assert float(loss(ALONE, {**SAID, **proposed})[0]) == pytest.approx(expected, rel=1e-4)
    assert set(loss.reads) == set(proposed)


def test_anchors_are_those_of_the_papers():
    assert len(retinanet.SHAPES) == 9
    assert retinanet.SHAPES[1] == (4.0, 4.0)  # 32 pixels on P3
    np.testing.assert_allclose(np.prod(retinanet.SHAPES, axis=1), np.repeat(16 * 2 ** (2 * np.arange(3) / 3), 3))
    assert len(ssd.SHAPES) == 6
    np.testing.assert_allclose(np.prod(ssd.SHAPES, axis=1), [9, 9, 9, 9, 9, 18])
