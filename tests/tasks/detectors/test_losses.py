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


def test_focal_by_hand():
    scores, targets = np.array([0.9, 0.9, 0.2], "float32"), np.array([1, 0, 0.5], "float32")
    plain = losses.focal(targets, scores, gamma=0)
    np.testing.assert_allclose(plain, [bce(t, s) for t, s in zip(targets, scores, strict=True)], rtol=1e-5)
    turned = losses.focal(targets, scores, gamma=2.0, alpha=0.25)
    expected = [0.25 * 0.1**2 * bce(1, 0.9), 0.75 * 0.9**2 * bce(0, 0.9), 0.5 * 0.3**2 * bce(0.5, 0.2)]
    np.testing.assert_allclose(turned, expected, rtol=1e-4)


def test_the_hardest_are_three_times_as_many_as_those_that_have_an_object():
    costs = np.array([[9, 8, 7, 6, 5, 4, 3, 2], [1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 0, 0, 0, 0, 0, 0]], "float32")
    there = np.array([[1, 0, 0, 0, 0, 0, 0, 1], [0] * 8, [0] * 8], "float32")
    chosen = np.asarray(losses.hardest(costs, there, times=2))
    assert chosen[0].tolist() == [0, 1, 1, 1, 1, 0, 0, 0]
    assert chosen[1].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert chosen[2].all()  # equals
    assert np.asarray(losses.hardest(costs, there))[0].tolist() == [0, 1, 1, 1, 1, 1, 1, 0]  # all that are left


def test_balanced_by_hand():
    costs = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]], "float32")
    there = np.array([[1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], "float32")
    counts = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]], "float32")
    found = losses.balanced(costs, there, counts, share=0.25)
    np.testing.assert_allclose(found, [0.25 * 1 + 0.75 * 2.5, 0.75 * 2.5, 0.25 * 2.5])


def test_smooth_l1_is_a_square_and_then_straight():
    np.testing.assert_allclose(losses.smooth_l1(np.array([0, -0.5, 1, 3], "float32")), [0, 0.125, 0.5, 2.5])


def test_matched_by_hand():
    """The first cell has the object; the loss is that of all that is said, over one."""
    loss = losses.matched(
        CELLS,
        overlaps=(0.5, 0.5),
        what=lambda truths, scores: ops.sum(losses.cross_entropy(truths.scores, scores), axis=(1, 2)),
        where=lambda found, truths: ops.sum(ops.abs(found - truths), axis=-1),
        box_weight=3.0,
    )
    expected = 7 * bce(0, 0.25) + bce(1, 0.25) + 3 * 4
    assert float(loss(ALONE, said())[0]) == pytest.approx(expected, rel=1e-5)
    assert float(loss(NOTHING, said())[0]) == pytest.approx(8 * bce(0, 0.25), rel=1e-5)
