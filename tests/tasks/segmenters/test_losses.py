"""The losses of masks: by hand, and beside a reference that goes pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.tasks.segmenters import losses
from tfmap.tasks.segmenters.metric import MeanIoU

MASK = np.array([[[0, 1], [1, 255]]], "int32")
SAID = np.array([[[[0.8, 0.2], [0.4, 0.6]], [[0.5, 0.5], [0.1, 0.9]]]], "float32")


def parts(mask=MASK, said=SAID):
    truths, counts = losses.known(mask, said.shape[-1])
    return truths, counts, said.reshape(*counts.shape, -1)


def test_cross_entropy_by_hand():
    found = losses.cross_entropy(*parts())
    np.testing.assert_allclose(found, [-(np.log(0.8) + np.log(0.6) + np.log(0.5)) / 3], rtol=1e-5)
    found = losses.cross_entropy(*parts(), gamma=2.0)
    expected = -(0.2**2 * np.log(0.8) + 0.4**2 * np.log(0.6) + 0.5**2 * np.log(0.5)) / 3
    np.testing.assert_allclose(found, [expected], rtol=1e-5)
    found = losses.cross_entropy(*parts(), weights=[1.0, 3.0])
    np.testing.assert_allclose(found, [-(np.log(0.8) + 3 * np.log(0.6) + 3 * np.log(0.5)) / 3], rtol=1e-5)


def test_dice_by_hand():
    first = 2 * 0.8 / (1 + 0.8**2 + 0.4**2 + 0.5**2)
    second = 2 * (0.6 + 0.5) / (2 + 0.2**2 + 0.6**2 + 0.5**2)
    np.testing.assert_allclose(losses.dice(*parts()), [1 - (first + second) / 2], rtol=1e-5)


def jaccard_by_sets(errors, there):
    """The Lovasz extension by its definition: a telescope over the sets of the worst pixels."""
    order = np.argsort(-errors, kind="stable")
    total, before, value = there.sum(), 0.0, 0.0
    for count in range(1, len(order) + 1):
        wrong = np.zeros(len(order), bool)
        wrong[order[:count]] = True
        shared = (there & ~wrong).sum()
        union = (there | wrong).sum()
        loss = 1 - shared / union if union else 0.0
        value += errors[order[count - 1]] * (loss - before)
        before = loss
    return value if total else 0.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_lovasz_by_its_definition(seed):
    rng = np.random.default_rng(seed)
    mask = rng.choice([0, 1, 2, 255], (2, 3, 4)).astype("int32")
    mask[:, 0, 0] = 0
    said = rng.dirichlet(np.ones(3), (2, 3, 4)).astype("float32")
    expected = []
    for truth, score in zip(mask.reshape(2, -1), said.reshape(2, -1, 3), strict=True):
        known = truth != 255
        terms = [
            jaccard_by_sets(np.abs((truth[known] == k) - score[known, k]), truth[known] == k)
            for k in range(3)
            if (truth == k).any()
        ]
        expected.append(np.mean(terms))
    np.testing.assert_allclose(losses.lovasz(*parts(mask, said)), expected, atol=1e-5)


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.dice, losses.lovasz])
def test_perfect_is_nothing_and_all_unknown_too(loss):
    perfect = np.eye(2, dtype="float32")[np.where(MASK == 255, 0, MASK)]
    np.testing.assert_allclose(loss(*parts(MASK, perfect)), [0], atol=1e-6)
    np.testing.assert_allclose(loss(*parts(np.full_like(MASK, 255))), [0], atol=1e-6)
    for said in (np.zeros_like(SAID), np.ones_like(SAID)):
        assert np.isfinite(loss(*parts(MASK, said))).all()


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.dice, losses.lovasz])
def test_what_is_said_of_an_unknown_pixel_changes_nothing(loss):
    other = SAID.copy()
    other[0, 1, 1] = [0.7, 0.3]
    np.testing.assert_allclose(loss(*parts()), loss(*parts(said=other)), rtol=1e-6)


def test_mean_iou_by_hand():
    metric = MeanIoU(3)
    said = np.eye(3, dtype="float32")[np.array([[[0, 1], [0, 2]]])]
    metric.update_state(MASK, said)
    assert float(metric.result()) == pytest.approx((1 / 2 + 1 / 2) / 2)
    metric.update_state(np.concatenate([MASK, MASK]), np.concatenate([said, 1 - said]), np.array([1.0, 0.0]))
    assert float(metric.result()) == pytest.approx((1 / 2 + 1 / 2) / 2)
