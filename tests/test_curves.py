"""The curves against the areas they enclose and scikit-learn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from tfmap import curves

ABC = ("a", "b", "c")


def random_case(seed, count, size):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(size), count).astype(np.float32), rng.integers(0, size, count).astype(np.int32)


def test_bins_are_closed_above_and_zero_falls_into_the_first():
    answers = np.array([[0.0, 1 / 15, 1 / 15 + 1e-6, 1.0]])
    counts = [row["count"] for row in curves.reliability(answers, np.array([[0, 0, 0, 1]]))]
    assert counts == [2, 1] + [0] * 12 + [1]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 60), size=st.integers(2, 9))
def test_curves_enclose_the_areas_they_state(seed, count, size):
    probabilities, truths = random_case(seed, count, size)
    for k, curve in enumerate(curves.curves(probabilities, truths, "abcdefghi"[:size])):
        own = truths == k
        if not own.any():
            assert curve["average_precision"] is None
            assert curve["recall"] == []
        if own.any() and not own.all():
            area = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
            assert area == pytest.approx(curve["auc"], abs=1e-3)
            assert curve["auc"] == pytest.approx(metrics.roc_auc_score(own, probabilities[:, k]))
            steps = -np.diff(curve["recall"]) * curve["precision"][:-1]
            assert steps.sum() == pytest.approx(curve["average_precision"], abs=1e-3)
    json.dumps(curves.curves(probabilities, truths, "abcdefghi"[:size]), allow_nan=False)


def test_curves_are_thinned_and_keep_their_ends():
    probabilities, truths = random_case(0, 3000, 3)
    for curve in curves.curves(probabilities, truths, ABC):
        assert len(curve["recall"]) == len(curve["precision"]) == 200
        assert len(curve["true_positive_rate"]) <= 200
        assert (curve["recall"][0], curve["recall"][-1]) == (1.0, 0.0)
        assert (curve["false_positive_rate"][0], curve["false_positive_rate"][-1]) == (0.0, 1.0)
        assert (curve["true_positive_rate"][0], curve["true_positive_rate"][-1]) == (0.0, 1.0)


def test_curves_take_several_labels():
    curve = curves.curves(np.array([[0.9, 0.1], [0.2, 0.3]]), np.array([[1, 0], [0, 0]]), ("a", "b"))
    assert curve[0]["auc"] == 1.0
    assert curve[1]["auc"] is None


def test_curves_take_1000_classes_of_which_most_are_absent():
    probabilities, truths = random_case(1, 20, 1000)
    found = curves.curves(probabilities, truths, range(1000))
    assert sum(curve["auc"] is not None for curve in found) == len(set(truths))
