"""Calibration: the temperature that a distorted score was made with is found again, and thresholds keep their word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfmap import calibrate
from tfmap.curves import calibration_error, reliability
from tfmap.errors import InputError

CLASSES = ("a", "b", "c")


def _honest(count, seed=0, classes=3):
    """Scores that are right as often as they say, and truths drawn from them."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(classes), count)
    truths = (rng.random((count, 1)) > scores.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    return scores.clip(1e-6, 1 - 1e-6), truths.astype(np.int32)


@pytest.mark.parametrize("wrong", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_found_again(wrong):
    scores, truths = _honest(20_000)
    distorted = calibrate.scaled(scores, 1 / wrong)
    assert calibrate.temperature(distorted, truths) == pytest.approx(wrong, rel=0.05)


def test_a_known_temperature_of_sigmoids_is_found_again():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.02, 0.98, (8000, 3))
    truths = (rng.random(scores.shape) < scores).astype(np.int32)
    distorted = calibrate.scaled(scores, 0.5, several=True)
    assert calibrate.temperature(distorted, truths) == pytest.approx(2.0, rel=0.05)


def test_overconfidence_is_mended_on_examples_that_the_temperature_has_not_seen():
    scores, truths = _honest(4000)
    found = calibrate.calibrate(calibrate.scaled(scores, 0.3).astype("float32"), truths, classes=CLASSES)
    assert found["ece_before"] > 0.1
    assert found["ece_after"] < 0.03
    assert found["log_loss_after"] < found["log_loss_before"]
    assert found["examples"] == 4000


def test_the_error_after_is_cross_fitted():
    scores, truths = _honest(60, seed=3)
    found = calibrate.calibrate(scores, truths, classes=CLASSES)
    mended = calibrate.scaled(scores, found["temperature"])
    own = -np.log(mended[np.arange(60), truths]).mean()
    assert found["log_loss_after"] > own  # judged by itself it looks better than it is
    assert found["ece_after"] != calibration_error(reliability(mended, truths))


SCORES = arrays.arrays(np.float64, (5, 3), elements=st.floats(1e-6, 1 - 1e-6))


@settings(deadline=None)
@given(SCORES, st.floats(0.05, 20))
def test_no_decision_changes_and_rows_sum_to_one(scores, temperature):
    mended = calibrate.scaled(scores, temperature)
    np.testing.assert_allclose(mended.sum(axis=1), 1)
    best = mended.max(axis=1)
    np.testing.assert_allclose(mended[np.arange(5), scores.argmax(axis=1)], best)


@settings(deadline=None)
@given(SCORES, st.floats(0.05, 20))
def test_sigmoids_keep_their_order_and_their_middle(scores, temperature):
    mended = calibrate.scaled(scores, temperature, several=True)
    assert (np.diff(np.sort(scores.ravel())) >= 0).all()
    order = np.argsort(scores.ravel(), kind="stable")
    assert (np.diff(mended.ravel()[order]) >= -1e-12).all()
    np.testing.assert_allclose(calibrate.scaled(np.array([[0.5]]), temperature, several=True), 0.5)


def test_temperature_one_leaves_scores_as_they_are():
    scores, _ = _honest(20)
    np.testing.assert_allclose(calibrate.scaled(scores, 1.0), scores / scores.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(calibrate.scaled(scores, 1.0, several=True), scores)


def _at(scores, truths, threshold):
    taken = scores >= threshold
    hits = (taken & (truths == 1)).sum()
    return hits / max(taken.sum(), 1), hits / truths.sum()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=40), st.floats(0.05, 1))
def test_a_threshold_is_the_one_that_a_search_over_all_finds(examples, precision):
    scores = np.array([score / 8 for score, _ in examples])[:, None]
    truths = np.array([[int(truth)] for _, truth in examples])
    row = calibrate.thresholds(scores, truths, classes=("a",), precision=precision)[0]
    best_f1 = calibrate.thresholds(scores, truths, classes=("a",))[0]
    if not truths.any():
        assert (row["threshold"], row["reached"], row["f1"]) == (0.5, False, None)
        return
    all_of_them = [_at(scores[:, 0], truths[:, 0], value) for value in np.unique(scores)]
    assert (row["precision"], row["recall"]) == pytest.approx(_at(scores[:, 0], truths[:, 0], row["threshold"]))
    good = [recall for reached, recall in all_of_them if reached >= precision - 1e-12]
    assert row["reached"] == bool(good)
    if good:
        assert row["recall"] == pytest.approx(max(good))
    else:
        assert row["precision"] == pytest.approx(max(reached for reached, _ in all_of_them))
    f1 = [2 * p * r / (p + r) if p + r else 0 for p, r in all_of_them]
    assert best_f1["f1"] == pytest.approx(max(f1))


def test_a_threshold_stands_halfway_to_the_next_lower_score():
    scores = np.array([[0.9], [0.7], [0.3]])
    row = calibrate.thresholds(scores, np.array([[1], [1], [0]]), classes=("a",))[0]
    assert row["threshold"] == pytest.approx(0.5)
    assert (row["support"], row["precision"], row["recall"], row["f1"]) == (2, 1.0, 1.0, 1.0)


def test_one_label_a_picture_is_one_class_against_the_rest():
    scores = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.1, 0.6], [0.4, 0.5, 0.1]])
    rows = calibrate.thresholds(scores, np.array([0, 1, 2, 0]), classes=CLASSES)
    assert [row["support"] for row in rows] == [2, 1, 1]
    assert rows[1]["threshold"] == pytest.approx(0.6)


def test_scores_of_zero_in_a_rounded_file_count_as_half_a_step():
    scores = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]], np.float32)
    found = calibrate.calibrate(scores, np.array([0, 1, 2, 0]), classes=CLASSES, step=1 / 256)
    # One of four is wrong, and was said to be impossible: by 1/512, not by the smallest float.
    assert found["log_loss_before"] == pytest.approx(-np.log(1 / 512) / 4, rel=1e-4)


@pytest.mark.parametrize(("step", "least"), [(1 / 256, 1 / 512), (0, 1e-7), (1e-9, 1e-7)])
def test_scores_are_kept_from_half_a_step_to_just_below_one(step, least):
    found = calibrate.within(np.float32([[0, 0.25, 1]]), step)
    assert found.dtype == np.float64
    assert found.tolist() == [[least, 0.25, 1 - 1e-7]]
    assert np.isfinite(calibrate.scaled(found, 0.05, several=True)).all()


@pytest.mark.parametrize("step", [0, 1 / 256])
def test_a_threshold_that_takes_every_example_takes_scores_of_zero(step):
    scores = np.array([[0.0], [0.5], [0.75]])
    found = calibrate.calibrate(scores, np.array([[1], [1], [1]]), classes=("a",), step=step)["classes"][0]
    assert (found["recall"], found["precision"]) == (1, 1)
    assert (scores >= found["threshold"]).all()  # the file's own scores are what thresholds are held against


def test_one_example_cannot_judge_what_it_was_fitted_on():
    found = calibrate.calibrate(np.array([[0.5, 0.3, 0.2]]), np.array([0]), classes=CLASSES)
    assert (found["ece_after"], found["log_loss_after"]) == (None, None)
    assert calibrate.COLDEST <= found["temperature"] <= calibrate.HOTTEST


def test_what_is_refused():
    scores, truths = _honest(5)
    with pytest.raises(InputError, match=r"^export.threshold_precision must be above 0 and at most 1, received 95.$"):
        calibrate.calibrate(scores, truths, classes=CLASSES, precision=95)
    with pytest.raises(InputError, match="score: no examples to score"):
        calibrate.calibrate(scores[:0], truths[:0], classes=CLASSES)
