"""The warp and the colour product on a real photograph, beside SciPy, NumPy and Pillow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageStat
from scipy import ndimage

from tfmap import maps
from tfmap.augment.compiled import compiled
from tfmap.augment.pixels import planes, recolour, warp
from tfmap.augment.warps import Warp

SIZE = (72, 96)


@pytest.fixture(scope="module")
def picture(photo):
    return Image.fromarray(photo).resize(SIZE[::-1])


@compiled
def warped(image, matrix):
    return warp(image, Warp(matrix, SIZE).sources())


def show(picture, matrix):
    """float32 (H, W, 3): the picture through a map, by the compiled warp."""
    return np.stack(warped(np.asarray(picture)[None], matrix), axis=-1)[0]


def paint(picture, matrix):
    """float32 (H, W, 3): the picture through a colour map, clipped."""
    return np.clip(np.stack(recolour(planes(np.asarray(picture)[None]), matrix), axis=-1)[0], 0, 255)


def one(value):
    return np.array([value], "float32")


def no():
    return np.array([False])


def yes():
    return np.array([True])


def reference(picture, matrix):
    """SciPy's bilinear sampling at the same points; its "reflect" repeats the edge pixel too."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    rows, columns = (m[0] * y + m[1] * x + m[2] - 0.5 for m in np.asarray(matrix, "float64")[0, :2])
    image = np.asarray(picture, "float64")
    return np.stack(
        [ndimage.map_coordinates(image[..., c], [rows, columns], order=1, mode="reflect") for c in range(3)], axis=-1
    )


def test_warp_is_scipys_bilinear_sampling_borders_included(picture):
    matrix = maps.compose(maps.rotation(one(0.4), SIZE), maps.shift(one(30.0), one(-200.0)))
    matrix = maps.compose(matrix, maps.compose(maps.zoom(one(0.6), SIZE), maps.shear(one(0.2), one(-0.3), SIZE)))
    # float32 coordinates: 1e-5 of a pixel, at most 255 grey values per pixel
    np.testing.assert_allclose(show(picture, matrix), reference(picture, matrix), atol=0.02)


def test_identity_flips_and_whole_shifts_copy_pixels(picture):
    image = np.asarray(picture, "float32")
    np.testing.assert_array_equal(show(picture, maps.identity(1)), image)
    np.testing.assert_array_equal(show(picture, maps.flip(no(), yes(), SIZE)), image[:, ::-1])
    np.testing.assert_array_equal(show(picture, maps.flip(yes(), no(), SIZE)), image[::-1])
    shifted = show(picture, maps.shift(one(3.0), one(-5.0)))
    np.testing.assert_array_equal(shifted[3:, :-5], image[:-3, 5:])
    np.testing.assert_array_equal(shifted[:3], np.pad(image, ((0, 0), (0, 5), (0, 0)), "symmetric")[2::-1, 5:])


def test_rotation_is_pillows(picture):
    ours = show(picture, maps.rotation(one(math.radians(20)), SIZE))
    pillow = np.asarray(picture.rotate(20, Image.Resampling.BILINEAR), "float32")
    inside = (slice(20, -20), slice(30, -30))
    assert np.abs(ours - pillow)[inside].max() <= 1.5  # Pillow truncates


def test_crop_is_pillows_resize_of_a_box(picture):
    ours = show(picture, maps.crop_resize(one(10.0), one(20.0), one(36.0), one(60.0), SIZE))
    box = (20, 10, 80, 46)
    pillow = np.asarray(picture.resize(SIZE[::-1], Image.Resampling.BILINEAR, box=box), "float32")
    assert np.abs(ours - pillow)[2:-2, 2:-2].max() <= 1.0  # its weights have 8 bits; its box ends at the border


def test_a_marked_pixel_moves_where_the_inverse_says():
    image = np.zeros((*SIZE, 3), "uint8")
    image[20, 30] = 255
    matrix = maps.compose(maps.rotation(one(0.5), SIZE), maps.shift(one(4.0), one(6.0)))
    y, x = np.asarray(maps.apply_to_points(maps.invert(matrix), np.array([[[20.5, 30.5]]], "float32")))[0, 0]
    shown = show(image, matrix)[..., 0]
    mass_y, mass_x = ndimage.center_of_mass(shown)
    assert abs(mass_y + 0.5 - y) < 0.5
    assert abs(mass_x + 0.5 - x) < 0.5


def test_composed_warp_shows_what_the_warps_one_by_one_show(picture):
    soft = np.asarray(picture.resize((12, 9)).resize(SIZE[::-1], Image.Resampling.BICUBIC))
    steps = [
        maps.flip(no(), yes(), SIZE),
        maps.rotation(one(0.2), SIZE),
        maps.zoom(one(1.2), SIZE),
        maps.shift(one(2.5), one(-3.5)),
    ]
    together, apart = maps.identity(1), soft
    for step in steps:
        together, apart = maps.compose(together, step), show(apart, step)
    difference = np.abs(show(soft, together) - apart)[15:-15, 15:-15]
    assert difference.max() < 6  # each warp one by one smooths once more
    assert difference.mean() < 1


@pytest.mark.parametrize("factor", [0.5, 1.4])
def test_colours_are_pillows(picture, factor):
    pivot = one(ImageStat.Stat(picture.convert("L")).mean[0])
    pairs = [
        (maps.brightness(one(factor)), ImageEnhance.Brightness),
        (maps.contrast(one(factor), pivot), ImageEnhance.Contrast),
        (maps.saturation(one(factor)), ImageEnhance.Color),
    ]
    for matrix, enhance in pairs:
        pillow = np.asarray(enhance(picture).enhance(factor), "float32")
        # Pillow rounds its greys and truncates its blends
        assert np.abs(paint(picture, matrix) - pillow).max() <= 1.5, enhance


def test_one_colour_product_is_the_matrix_product(picture):
    matrix = np.asarray(maps.compose_colours(maps.hue(one(0.7)), maps.contrast(one(0.8), one(90.0))))
    image = np.asarray(picture, "float64")
    expected = np.clip(image @ matrix[0, :, :3].T + matrix[0, :, 3], 0, 255)
    np.testing.assert_allclose(paint(picture, matrix), expected, atol=1e-3)
