"""Answers that need no truth to be wrong. Metrics and disagreements are tested with the stage."""

from __future__ import annotations

import numpy as np

from tfmap.verify import answers

ROWS = np.float32([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])


def test_sound_answers_have_no_finding():
    assert answers.findings(ROWS, ROWS[:, ::-1]) == []


def test_the_same_answer_to_everything_is_found():
    same = np.repeat(ROWS[:1], 3, axis=0)
    assert answers.findings(ROWS, same) == ["the file says the same to all 3 pictures; the model does not."]
    assert answers.findings(same, same) == []
    assert answers.findings(ROWS[:1], ROWS[:1]) == []


def test_a_score_that_is_no_number_is_found():
    spoilt = ROWS.copy()
    spoilt[1, 0] = np.nan
    text = "1 of 3 answers hold a score that is no number; such scores are counted as 0."
    assert answers.broken(spoilt) == [text]
    assert answers.broken(ROWS) == []


def test_a_number_and_none_are_as_far_apart_as_can_be():
    ours, theirs = np.float32([[0.5, np.nan, np.inf, np.nan]]), np.float32([[0.25, 0.5, np.nan, 0.0]])
    np.testing.assert_array_equal(answers.gaps(ours, theirs), [[0.25, 1, 0, 1]])


def test_a_model_that_hardly_tells_its_pictures_apart_may_round_to_one_answer():
    nearly = np.float32([[0.501, 0.499], [0.5, 0.5], [0.499, 0.501]])
    assert answers.findings(nearly, np.full((3, 2), 0.5, np.float32)) == []
