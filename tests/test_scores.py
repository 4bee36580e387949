"""The score maths against hand-computed numbers, scikit-learn and brute force."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from tfmap import scores
from tfmap.errors import InputError

ABC = ("a", "b", "c")
# Four pictures: right, right, b taken for a, c taken for a.
FOUR = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.5, 0.1, 0.4]], np.float32)
TRUTHS = np.array([0, 1, 1, 2], np.int32)


def softmax(logits):
    logits = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (logits / logits.sum(axis=1, keepdims=True)).astype(np.float32)


def random_case(seed, count, size):
    rng = np.random.default_rng(seed)
    return softmax(2 * rng.normal(size=(count, size))), rng.integers(0, size, count).astype(np.int32)


def names(size):
    return tuple(f"class {k}" for k in range(size))


cases = given(seed=st.integers(0, 2**31), count=st.integers(1, 60), size=st.integers(2, 9))
few = settings(max_examples=40, deadline=None)


def test_single_label_by_hand():
    score = scores.single_label(FOUR, TRUTHS, ABC)
    assert score["examples"] == 4
    assert score["accuracy"] == 0.5
    assert score["top_5"] is None
    assert score["confusion_matrix"] == [[1, 0, 0], [1, 1, 0], [1, 0, 0]]
    assert score["log_loss"] == pytest.approx(-np.log([0.7, 0.8, 0.3, 0.4]).mean(), rel=1e-6)
    # precisions 1/3, 1, 0 (c is never predicted); recalls 1, 1/2, 0; F1 1/2, 2/3, 0
    assert score["precision_macro"] == pytest.approx(4 / 9)
    assert score["recall_macro"] == pytest.approx(0.5)
    assert score["f1_macro"] == pytest.approx(7 / 18)
    assert score["f1_weighted"] == pytest.approx((0.5 + 2 * 2 / 3 + 0) / 4)
    # every picture sits alone in its bin: gaps 0.3, 0.2, 0.6, 0.5
    assert score["ece"] == pytest.approx((0.3 + 0.2 + 0.6 + 0.5) / 4, abs=1e-6)


def test_per_class_rows_by_hand():
    a, b, c = scores.single_label(FOUR, TRUTHS, ABC)["per_class"]
    assert (a["class"], a["support"], a["predicted"], a["recall"]) == ("a", 1, 3, 1.0)
    assert (b["precision"], b["recall"], b["f1"]) == (1.0, 0.5, pytest.approx(2 / 3))
    assert (c["precision"], c["recall"], c["f1"]) == (None, 0.0, 0.0)
    assert c["average_precision"] == c["auc"] == 1.0


def test_an_absent_class_gives_null_and_stays_out_of_the_macro_average():
    truths = np.array([0, 1, 1, 0], np.int32)
    score = scores.single_label(FOUR, truths, ABC)
    row = score["per_class"][2]
    assert [row[key] for key in ("support", "precision", "recall", "f1", "average_precision", "auc")] == [0] + [
        None
    ] * 5
    assert score["recall_macro"] == pytest.approx((1 + 0.5) / 2)
    json.dumps(score, allow_nan=False)


@few
@cases
def test_single_label_agrees_with_scikit_learn(seed, count, size):
    probabilities, truths = random_case(seed, count, size)
    score = scores.single_label(probabilities, truths, names(size))
    predicted = probabilities.argmax(axis=1)
    assert score["accuracy"] == pytest.approx(metrics.accuracy_score(truths, predicted))
    assert score["log_loss"] == pytest.approx(metrics.log_loss(truths, probabilities, labels=range(size)), abs=1e-5)
    weighted = metrics.f1_score(truths, predicted, average="weighted", zero_division=0)
    assert score["f1_weighted"] == pytest.approx(weighted)
    macro = metrics.recall_score(truths, predicted, labels=np.unique(truths), average="macro", zero_division=0)
    assert score["recall_macro"] == pytest.approx(macro)
    assert np.sum(score["confusion_matrix"]) == count
    assert np.trace(score["confusion_matrix"]) == pytest.approx(score["accuracy"] * count)
    if size > 5:
        top = metrics.top_k_accuracy_score(truths, probabilities, k=5, labels=range(size))
        assert score["top_5"] == pytest.approx(top)
    json.dumps(score, allow_nan=False)


@few
@cases
def test_calibration_error_agrees_with_brute_force(seed, count, size):
    probabilities, truths = random_case(seed, count, size)
    bins = {}
    for row, truth in zip(probabilities.astype(np.float64), truths, strict=True):
        place = max(0, int(np.ceil(row.max() * 15 - 1e-12)) - 1)
        bins.setdefault(place, []).append((row.max(), row.argmax() == truth))
    expected = sum(abs(np.sum([c for c, _ in rows]) - np.sum([r for _, r in rows])) for rows in bins.values()) / count
    assert scores.single_label(probabilities, truths, names(size))["ece"] == pytest.approx(expected, abs=1e-6)


def test_a_perfectly_sure_and_right_model_has_no_calibration_error():
    score = scores.single_label(np.eye(3, dtype=np.float32), np.arange(3), ABC)
    assert score["ece"] == 0
    assert score["log_loss"] == 0


def test_log_loss_of_a_hard_zero_is_finite():
    probabilities = np.array([[1.0, 0.0]], np.float32)
    assert scores.single_label(probabilities, np.array([1]), ("a", "b"))["log_loss"] == pytest.approx(-np.log(1e-7))


def test_multi_label_by_hand():
    probabilities = np.array([[0.9, 0.2, 0.6], [0.4, 0.5, 0.1]], np.float32)
    truths = np.array([[1, 0, 0], [1, 1, 0]], np.float32)
    score = scores.multi_label(probabilities, truths, ABC)
    assert score["accuracy"] == pytest.approx(4 / 6)
    assert score["subset_accuracy"] == 0.0
    assert score["map"] == 1.0  # of a and b; c never occurs
    assert score["precision_micro"] == pytest.approx(2 / 3)
    assert score["recall_micro"] == pytest.approx(2 / 3)
    assert score["precision_macro"] == 1.0
    assert score["recall_macro"] == pytest.approx(0.75)
    assert score["confusion_matrix"] == [[[0, 0], [1, 1]], [[1, 0], [0, 1]], [[1, 1], [0, 0]]]
    assert score["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.4, 0.5, 0.9]).mean(), rel=1e-5)


def test_multi_label_threshold_decides_what_is_predicted():
    probabilities, truths = np.array([[0.3, 0.8]]), np.array([[1, 1]])
    assert scores.multi_label(probabilities, truths, ("a", "b"))["subset_accuracy"] == 0.0
    assert scores.multi_label(probabilities, truths, ("a", "b"), threshold=0.3)["subset_accuracy"] == 1.0


@few
@cases
def test_multi_label_agrees_with_scikit_learn(seed, count, size):
    rng = np.random.default_rng(seed)
    probabilities = rng.random((count, size)).astype(np.float32)
    truths = (rng.random((count, size)) < 0.4).astype(np.float32)
    score = scores.multi_label(probabilities, truths, names(size))
    predicted = probabilities >= 0.5
    assert score["subset_accuracy"] == pytest.approx(metrics.accuracy_score(truths, predicted))
    assert score["accuracy"] == pytest.approx(1 - metrics.hamming_loss(truths, predicted))
    assert score["f1_micro"] == pytest.approx(metrics.f1_score(truths, predicted, average="micro", zero_division=0))
    present = truths.any(axis=0)
    if present.any():
        expected = metrics.average_precision_score(truths[:, present], probabilities[:, present], average="macro")
        assert score["map"] == pytest.approx(expected)
    else:
        assert score["map"] is None
    json.dumps(score, allow_nan=False)


BAD = {
    "shapes": (FOUR, TRUTHS[:3], r"expected probabilities \(N, 3\) and truths \(N,\) for 3 classes, received \(4, 3\)"),
    "classes": (FOUR[:, :2], TRUTHS, r"for 3 classes, received \(4, 2\) and \(4,\)"),
    "empty": (FOUR[:0], TRUTHS[:0], "no examples to score"),
    "nan": (np.where(FOUR > 0.75, np.nan, FOUR), TRUTHS, "1 of 4 predictions hold NaN or infinity"),
    "label": (FOUR, np.array([0, 1, 3, 2]), r"whole numbers in \[0, 3\), received 3"),
    "fraction": (FOUR, np.array([0, 1, 0.5, 2]), r"whole numbers in \[0, 3\), received 0\.5"),
}


@pytest.mark.parametrize("name", BAD)
def test_single_label_refuses(name):
    probabilities, truths, text = BAD[name]
    with pytest.raises(InputError, match=text):
        scores.single_label(probabilities, truths, ABC)


def test_multi_label_refuses():
    with pytest.raises(InputError, match=r"truths \(N, 3\) for 3 classes, received \(4, 3\) and \(4,\)"):
        scores.multi_label(FOUR, TRUTHS, ABC)
    with pytest.raises(InputError, match=r"whole numbers in \[0, 2\), received 2"):
        scores.multi_label(FOUR, np.full((4, 3), 2), ABC)


def test_worst_mistakes_are_sorted_by_the_score_of_the_wrong_class():
    rows = scores.worst(FOUR, TRUTHS, ["w", "x", "y", "z"], ABC)
    assert rows == [
        {"id": "y", "truth": "b", "predicted": "a", "score": 0.6},
        {"id": "z", "truth": "c", "predicted": "a", "score": 0.5},
    ]
    assert scores.worst(FOUR, TRUTHS, ["w", "x", "y", "z"], ABC, limit=1) == rows[:1]


def test_worst_mistakes_with_several_labels_name_every_label():
    probabilities = np.array([[0.9, 0.2, 0.6], [0.4, 0.1, 0.1], [0.9, 0.1, 0.1]], np.float32)
    truths = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0]], np.float32)
    assert scores.worst(probabilities, truths, ["x", "y", "z"], ABC) == [
        {"id": "x", "truth": "a, b", "predicted": "a, c", "score": 0.8},
        {"id": "y", "truth": "a", "predicted": "none", "score": 0.6},
    ]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_paired_error_is_the_standard_error_of_the_mean_difference(pairs):
    before, after = np.array(pairs, bool).T
    difference = after.astype(float) - before
    assert scores.paired_error(before, after) == pytest.approx(difference.std() / np.sqrt(len(pairs)), abs=1e-12)


def test_paired_error_by_hand():
    before, after = np.array([True] * 90 + [False] * 10), np.array([True] * 85 + [False] * 5 + [True] * 3 + [False] * 7)
    assert scores.paired_error(before, after) == pytest.approx(np.sqrt(0.05 + 0.03 - 0.02**2) / 10)
