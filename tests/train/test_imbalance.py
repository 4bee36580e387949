from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfmap.errors import InputError
from tfmap.source import Masks, Split
from tfmap.train import imbalance


def split_of(labels):
    labels = np.asarray(labels)
    nothing = np.zeros(len(labels), object)
    return Split("path", nothing, labels, nothing, np.zeros(len(labels), bool))


COUNTS = st.lists(st.integers(1, 3000), min_size=2, max_size=8)


@given(COUNTS)
def test_balanced_is_the_number_of_pictures_by_classes_and_members(counts):
    split = split_of(np.repeat(np.arange(len(counts)), counts))
    weights = imbalance.class_weights("balanced", split, len(counts))
    np.testing.assert_allclose(weights, sum(counts) / (len(counts) * np.array(counts)))


@given(COUNTS, st.sampled_from(["balanced", "effective_number"]))
def test_the_mean_over_the_pictures_is_one_and_rarer_weighs_more(counts, setting):
    split = split_of(np.repeat(np.arange(len(counts)), counts))
    weights = np.array(imbalance.class_weights(setting, split, len(counts)))
    assert weights[split.labels].mean() == pytest.approx(1)
    assert (np.diff(weights[np.argsort(counts, kind="stable")]) <= 1e-9).all()


def test_effective_number_is_that_of_the_paper():
    split = split_of(np.repeat([0, 1], [1000, 10]))
    one, other = imbalance.class_weights("effective_number", split, 2)
    effective = [(1 - 0.999**n) / (1 - 0.999) for n in (1000, 10)]
    assert other / one == pytest.approx(effective[0] / effective[1])
    assert effective[0] == pytest.approx(632, abs=1)


def test_several_labels_a_picture_and_a_class_without_any():
    rows = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]], np.float32)
    weights = imbalance.class_weights("balanced", split_of(rows), 3)
    np.testing.assert_allclose(weights, [4 / 12, 4 / 3, 4 / 3])


def test_classes_of_masks_are_counted_by_their_pixels():
    masks = [np.array([[0, 0, 0, 1]], "uint8"), np.array([[0, 255, 255, 0]], "uint8")]
    split = replace(split_of(np.zeros((2, 2), "float32")), masks=Masks(np.array([0, 1]), masks.__getitem__))
    np.testing.assert_allclose(imbalance.class_weights("balanced", split, 2), [2 / (2 * 1.75), 2 / (2 * 0.25)])


def test_own_numbers_and_none():
    split = split_of([0, 1])
    assert imbalance.class_weights("none", split, 2) is None
    assert imbalance.class_weights([1, 2], split, 2) == [1.0, 2.0]


def test_priors_are_shares_with_finite_odds():
    np.testing.assert_allclose(imbalance.priors(split_of([0, 0, 0, 1]), 2), [0.75, 0.25])
    rows = np.array([[1, 0], [1, 0], [1, 0], [1, 1]], np.float32)
    np.testing.assert_allclose(imbalance.priors(split_of(rows), 2), [0.75, 0.25])
    assert imbalance.priors(split_of([0, 0, 0, 0]), 2) == [0.75, 0.25]


@pytest.mark.parametrize("setting", ["median", [1.0], [1.0, 0.0]])
def test_other_weights_are_refused(setting):
    with pytest.raises(InputError, match="must be none, balanced, effective_number or 2 numbers above 0, received"):
        imbalance.class_weights(setting, split_of([0, 1]), 2)


@pytest.mark.parametrize(
    ("class_weights", "loss", "sampling"),
    [
        ("balanced", "logit_adjustment", "natural"),
        ("effective_number", "cross_entropy", "balanced"),
        ("none", "logit_adjustment", "balanced"),
    ],
)
def test_one_remedy_at_a_time(class_weights, loss, sampling):
    with pytest.raises(InputError, match=r"train: .* and .* each make up for imbalance; together they overshoot"):
        imbalance.check(class_weights, loss, {"sampling": sampling})
    imbalance.check([1.0, 2.0], "focal", {"sampling": sampling})
    imbalance.check(class_weights, "focal", {})
