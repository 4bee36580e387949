"""The loss of a detector, by hand, and what it does with pictures that have nothing to teach."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from tfmap import boxes
from tfmap.tasks.detectors import anchors, losses

CELLS = anchors.cells((32, 32), (16,))
ALONE = {"boxes": np.array([[[0, 0, 16, 12]]], "float32"), "classes": np.array([[1]], "int32")}
NOTHING = {"boxes": np.zeros((1, 1, 4), "float32"), "classes": np.array([[-1]], "int32")}


def said(scores=0.25):
    return {"boxes": CELLS[None].copy(), "scores": np.full((1, 4, 2), scores, "float32")}


def bce(target, score):
    return -(target * np.log(score) + (1 - target) * np.log(1 - score))


def test_of_one_object_by_hand():
    """The cell that holds it overlaps it by three quarters: that is its score, its weight, and what is divided by."""
    overlap, outputs = 0.75, said()
    what = 7 * bce(0, 0.25) + bce(overlap, 0.25)
    where = overlap * (1 - float(boxes.ciou(CELLS[:1], ALONE["boxes"][0])[0]))
    expected = what + 7.5 * where  # over at least one
    assert float(losses.one_stage(CELLS)(ALONE, outputs)[0]) == pytest.approx(expected, rel=1e-5)


def test_of_nothing_it_is_what_was_said_anyway():
    assert float(losses.one_stage(CELLS)(NOTHING, said())[0]) == pytest.approx(8 * bce(0, 0.25), rel=1e-5)


@pytest.mark.parametrize("scores", [0.0, 1.0])
@pytest.mark.parametrize("targets", [ALONE, NOTHING], ids=["one", "none"])
def test_it_stays_a_number_at_the_ends(scores, targets):
    assert np.isfinite(losses.one_stage(CELLS)(targets, said(scores))).all()


def test_pictures_do_not_see_each_other():
    both = {key: np.concatenate([ALONE[key], NOTHING[key]]) for key in ALONE}
    outputs = {key: np.concatenate([value, value]) for key, value in said().items()}
    apart = [float(losses.one_stage(CELLS)(targets, said())[0]) for targets in (ALONE, NOTHING)]
    np.testing.assert_allclose(losses.one_stage(CELLS)(both, outputs), apart, rtol=1e-6)


def test_a_better_box_and_a_better_score_cost_less():
    loss, outputs = losses.one_stage(CELLS), said()
    before = float(loss(ALONE, outputs)[0])
    nearer = {**outputs, "boxes": ops.concatenate([ALONE["boxes"], outputs["boxes"][:, 1:]], axis=1)}
    surer = outputs["scores"].copy()
    surer[0, 0, 1] = 0.75
    assert float(loss(ALONE, {**outputs, "scores": surer})[0]) < before
    assert float(loss(ALONE, nearer)[0]) < before
