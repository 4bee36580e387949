"""Noise: its distribution, from pixel to pixel and from picture to picture."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from scipy import stats

from tfmap.augment import noises
from tfmap.augment.draws import Draw

GREY = np.full((4, 3, 60, 81), 128, "float32")


def draw(seed=(1, 2)):
    return Draw(tf.constant(seed, tf.uint32), np.zeros((4, 60, 81, 3), "uint8"))


def test_noise_is_gaussian_with_the_sigma_of_its_picture():
    sigma = np.array([0, 1, 10, 50], "float32")
    added = np.asarray(noises.noise(GREY, sigma, draw())) - 128
    assert not added[0].any()
    for picture, spread in zip(added[1:], sigma[1:], strict=True):
        assert stats.kstest(picture.ravel() / spread, stats.norm.cdf).pvalue > 1e-3
        for axis in range(3):  # neighbours in channel, row and column
            pairs = np.moveaxis(picture, axis, 0)
            assert abs(np.corrcoef(pairs[:-1].ravel(), pairs[1:].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(added[1].ravel(), added[2].ravel())[0, 1]) < 0.03


def test_two_fields_and_two_seeds_are_independent():
    dice = draw()
    first, second, other = dice.field(3), dice.field(3), draw((1, 3)).field(3)
    assert abs(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]) < 0.02
    assert abs(np.corrcoef(np.ravel(first), np.ravel(other))[0, 1]) < 0.02
    assert np.min(first) > 0
    assert np.max(first) < 1


def test_salt_and_pepper_take_half_of_the_share_each_and_whole_pixels():
    share = np.array([0, 0.1, 0.5, 1], "float32")
    new = np.asarray(noises.salt_pepper(GREY, share, draw()))
    np.testing.assert_array_equal(new.min(axis=1), new.max(axis=1))
    np.testing.assert_allclose((new == 0).mean(axis=(1, 2, 3)), share / 2, atol=0.02)
    np.testing.assert_allclose((new == 255).mean(axis=(1, 2, 3)), share / 2, atol=0.02)
    assert set(np.unique(new)) == {0, 128, 255}
