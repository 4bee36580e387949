"""Filters on a real photograph, beside Pillow and SciPy."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from tfmap.augment import filters

SIZE = (97, 131)  # no multiple of 16


@pytest.fixture(scope="module")
def picture(photo):
    return Image.fromarray(photo).resize(SIZE[::-1])


def filtered(name, image, strength):
    """float32 (H, W, C)."""
    image = np.asarray(image, "float32")
    planes = np.moveaxis(np.atleast_3d(image), -1, 0)[None]
    return np.moveaxis(np.asarray(filters.FILTERS[name](planes, np.array([strength], "float32")))[0], 0, -1)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.9])
def test_sharpness_is_pillows(factor, picture):
    pillow = np.asarray(ImageEnhance.Sharpness(picture).enhance(factor), "float32")
    # Pillow rounds the smoothed picture and truncates the blend
    assert np.abs(filtered("sharpness", picture, factor) - pillow).max() <= 1.5


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5, 10.0])
def test_blur_is_scipys_gaussian(sigma, picture):
    image = np.asarray(picture, "float64")
    expected = ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="reflect", truncate=6)
    np.testing.assert_allclose(filtered("blur", picture, sigma), expected, atol=0.01)


def stored(picture, quality):
    """What Pillow's JPEG leaves of a picture."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), "float32")


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90, 100])
def test_jpeg_loses_what_pillows_jpeg_loses(quality, picture):
    ours, theirs = filtered("jpeg", picture, quality), stored(picture, quality)
    # it rounds colours to whole values before and after; mean difference in grey values
    assert np.abs(ours - theirs).mean() < 1.0
    loss = np.abs(theirs - np.asarray(picture, "float32")).mean()
    assert np.abs(ours - np.asarray(picture, "float32")).mean() == pytest.approx(loss, rel=0.25)


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_jpeg_of_one_channel_is_that_of_a_grey_picture(quality, picture):
    grey = picture.convert("L")
    assert np.abs(filtered("jpeg", grey, quality)[..., 0] - stored(grey, quality)).mean() < 0.4
