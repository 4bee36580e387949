"""The dice: distributions, seeds, rectangles."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfmap.augment.draws import Draw, random_bits


def dice(count=4000, seed=(1, 2), side=24):
    return Draw(tf.constant(seed, tf.uint32), np.zeros((count, side, 2 * side, 3), "uint8"))


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 5.0])
def test_beta_is_beta(alpha):
    drawn = np.asarray(dice().beta(alpha), "float64")
    assert np.isfinite(drawn).all()
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    # float32 cannot tell 1 - 1e-9 from 1, so the ends are compared as steps
    drawn = np.clip(drawn, 1e-6, 1 - 1e-6)
    inside = np.linspace(0.001, 0.999, 200)
    share = np.searchsorted(np.sort(drawn), inside) / len(drawn)
    assert np.abs(share - stats.beta(alpha, alpha).cdf(inside)).max() < 0.03  # 4,000 draws: 1.36 / sqrt(n) = 0.0215


def test_uniform_is_uniform_and_independent_between_draws():
    draw = dice()
    a, b = np.asarray(draw.uniform(-2.0, 3.0)), np.asarray(draw.uniform(-2.0, 3.0))
    assert stats.kstest(a, stats.uniform(-2, 5).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.06
    assert a.min() >= -2
    assert a.max() < 3


def test_neighbouring_steps_and_seeds_are_independent():
    first = np.asarray(dice().uniform(0, 1))
    for seed in [(1, 3), (2, 2), (1, 1)]:
        assert abs(np.corrcoef(first, dice(seed=seed).uniform(0, 1))[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("key", "counter", "words"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_the_generator_is_threefry(key, counter, words):
    """The known answers of Random123's Threefry-2x32 with 20 rounds."""
    first, second = (tf.constant([word], tf.uint32) for word in counter)
    assert tuple(int(word[0]) for word in random_bits(tf.constant(key, tf.uint32), first, second)) == words


def test_a_picture_draws_the_same_in_a_batch_of_any_size():
    np.testing.assert_array_equal(dice(count=5).uniform(0, 1), dice(count=40).uniform(0, 1)[:5])
    np.testing.assert_array_equal(dice(count=2).field(1), dice(count=3).field(1)[:2])


def test_swing_has_both_signs_and_leaves_the_middle_out():
    drawn = np.asarray(dice().swing(2.0, 5.0))
    assert abs((drawn > 0).mean() - 0.5) < 0.03
    assert stats.kstest(np.abs(drawn), stats.uniform(2, 3).cdf).pvalue > 1e-3
    one_each = np.asarray(dice().swing(np.zeros(4000, "float32"), np.linspace(0, 1, 4000, dtype="float32")))
    assert (np.abs(one_each) <= np.linspace(0, 1, 4000) + 1e-6).all()


def test_integer_is_as_likely_at_both_ends():
    drawn = np.asarray(dice().integer(3, 6))
    assert set(drawn) == {3, 4, 5, 6}
    assert stats.chisquare(np.bincount(drawn.astype(int))[3:]).pvalue > 1e-3


def test_blend_shares_are_dirichlet():
    drawn = np.asarray(dice().blend(3))
    np.testing.assert_allclose(drawn.sum(axis=1), 1, atol=1e-5)
    assert stats.kstest(drawn[:, 0], stats.uniform.cdf).pvalue > 1e-3
    # one of three Dirichlet(1) shares is Beta(1, 2)
    assert stats.kstest(drawn[:, 1] / drawn[:, 1:].sum(axis=1), stats.beta(1, 2).cdf).pvalue > 1e-3


def test_chance_and_log_uniform():
    draw = dice()
    assert abs(np.mean(draw.chance(0.3)) - 0.3) < 0.03
    assert not np.any(draw.chance(0))
    assert np.all(draw.chance(1))
    ratios = np.asarray(draw.log_uniform(3.0))
    assert 1 / 3 - 1e-6 <= ratios.min() < 0.4
    assert 2.7 < ratios.max() <= 3.0 + 1e-5
    assert abs(np.log(ratios).mean()) < 0.05


def test_rectangle_lies_inside_with_the_share_asked_for():
    draw = dice(count=200)
    share = draw.uniform(0.05, 1.0)
    top, left, height, width = (np.asarray(value) for value in draw.rectangle(share, 1.0))
    assert top.min() >= 0
    assert left.min() >= 0
    assert (top + height).max() <= 24 + 1e-4
    assert (left + width).max() <= 48 + 1e-4
    np.testing.assert_allclose(height * width / (24 * 48), share, rtol=1e-4)
    np.testing.assert_allclose(width / height, 2.0, rtol=1e-4)
    mask = np.asarray(draw.inside(top, left, height, width))
    # a side is off by less than one row or column of pixel centres
    assert np.abs(mask.mean(axis=(1, 2, 3)) - share).max() < 1 / 24 + 1 / 48


def test_grey_is_pillows_mean_within_a_sampling_error(photos):
    images = photos[0]
    draw = Draw(tf.constant([0, 0], tf.uint32), images)
    np.testing.assert_allclose(draw.grey, (images @ [0.299, 0.587, 0.114]).mean(axis=(1, 2)), atol=3)
