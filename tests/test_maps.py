"""The algebra of coordinate maps and colour maps."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap import maps

SIZE = (40, 60)
GREY = np.array([0.299, 0.587, 0.114])

unit = st.floats(-1.0, 1.0, width=32)
affines = st.tuples(st.lists(unit, min_size=6, max_size=6), st.permutations(range(4)))
colours = st.tuples(st.lists(unit, min_size=5, max_size=5), st.permutations(range(4)))
quick = settings(max_examples=15, deadline=None)


def one(value):
    return np.array([value], "float32")


def affine(numbers, order):
    """A map such as a policy makes: a turn, a zoom, a slant and a shift in some order, after a mirror."""
    a, b, c, d, e, f = numbers
    steps = [
        maps.rotation(one(3 * a), SIZE),
        maps.zoom(one(1 + b / 2), SIZE),
        maps.shear(one(c / 2), one(d / 2), SIZE),
        maps.shift(one(20 * e), one(20 * f)),
    ]
    matrix = maps.flip(np.array([a > 0]), np.array([b > 0]), SIZE)
    for index in order:
        matrix = maps.compose(matrix, steps[index])
    return np.asarray(matrix)


def colour(numbers, order):
    """A colour map such as a policy makes."""
    a, b, c, d, e = numbers
    steps = [
        maps.brightness(one(1 + a)),
        maps.contrast(one(1 + b), one(100 + 50 * c)),
        maps.saturation(one(1 + d)),
        maps.hue(one(3 * e)),
    ]
    matrix = maps.colour_identity(1)
    for index in order:
        matrix = maps.compose_colours(matrix, steps[index])
    return np.asarray(matrix)


def recolour(matrix, rgb):
    return np.asarray(matrix)[0, :, :3] @ rgb + np.asarray(matrix)[0, :, 3]


@quick
@given(affines, affines, affines)
def test_compose_is_associative_and_identity_is_neutral(a, b, c):
    a, b, c = (affine(*numbers) for numbers in (a, b, c))
    left, right = maps.compose(maps.compose(a, b), c), maps.compose(a, maps.compose(b, c))
    np.testing.assert_allclose(left, right, rtol=1e-4, atol=2e-3)
    np.testing.assert_array_equal(maps.compose(maps.identity(1), a), a)
    np.testing.assert_array_equal(maps.compose(a, maps.identity(1)), a)


@quick
@given(affines)
def test_invert_leads_back(numbers):
    matrix = affine(*numbers)
    inverse = np.asarray(maps.invert(matrix))
    np.testing.assert_allclose(inverse, np.linalg.inv(matrix.astype("float64")), rtol=1e-3, atol=2e-3)
    points = np.random.default_rng(0).uniform(0, 60, (1, 7, 2)).astype("float32")
    back = maps.apply_to_points(inverse, maps.apply_to_points(matrix, points))
    np.testing.assert_allclose(back, points, atol=1e-2)


@quick
@given(affines, affines)
def test_composed_map_moves_points_as_its_parts_do(first, second):
    first, second = affine(*first), affine(*second)
    points = np.random.default_rng(1).uniform(0, 60, (1, 5, 2)).astype("float32")
    # output -> input: a point of the last picture goes back through `second`, then through `first`
    parts = maps.apply_to_points(first, maps.apply_to_points(second, points))
    np.testing.assert_allclose(maps.apply_to_points(maps.compose(first, second), points), parts, atol=2e-2)


@pytest.mark.parametrize(
    ("matrix", "seen_at", "comes_from"),
    [
        (maps.identity(1), (3, 4), (3, 4)),
        (maps.flip(np.array([False]), np.array([True]), SIZE), (3, 4), (3, 56)),
        (maps.flip(np.array([True]), np.array([False]), SIZE), (3, 4), (37, 4)),
        # a quarter turn to the left: what is above the centre was to the right of it
        (maps.rotation(one(math.pi / 2), SIZE), (10, 30), (20, 40)),
        (maps.zoom(one(2.0), SIZE), (0, 0), (10, 15)),
        (maps.shift(one(5.0), one(-7.0)), (15, 3), (10, 10)),
        (maps.shear(one(0.0), one(math.pi / 4), SIZE), (30, 30), (30, 40)),
        (maps.shear(one(math.pi / 4), one(0.0), SIZE), (20, 40), (30, 40)),
        (maps.crop_resize(one(10.0), one(6.0), one(20.0), one(30.0), SIZE), (40, 0), (30, 6)),
    ],
)
def test_each_map_leads_from_output_to_input(matrix, seen_at, comes_from):
    found = maps.apply_to_points(matrix, np.array([[seen_at]], "float32"))
    np.testing.assert_allclose(found[0, 0], comes_from, atol=1e-4)


def test_each_picture_has_its_own_map():
    matrix = maps.rotation(np.array([0.0, math.pi], "float32"), SIZE)
    points = maps.apply_to_points(matrix, np.array([[[1, 2]], [[1, 2]]], "float32"))
    np.testing.assert_allclose(points[:, 0], [[1, 2], [39, 58]], atol=1e-4)


@quick
@given(colours, colours)
def test_composed_colours_do_what_their_parts_do(first, second):
    first, second = colour(*first), colour(*second)
    rgb = np.array([200.0, 30.0, 90.0])
    expected = recolour(second, recolour(first, rgb))
    np.testing.assert_allclose(recolour(maps.compose_colours(first, second), rgb), expected, rtol=1e-4, atol=0.05)
    np.testing.assert_array_equal(maps.compose_colours(maps.colour_identity(1), second), second)


def test_brightness_contrast_saturation_by_their_formulas():
    rgb = np.array([200.0, 30.0, 90.0])
    grey = GREY @ rgb
    np.testing.assert_allclose(recolour(maps.brightness(one(0.7)), rgb), 0.7 * rgb, rtol=1e-5)
    np.testing.assert_allclose(recolour(maps.contrast(one(1.5), one(100.0)), rgb), 1.5 * (rgb - 100) + 100, rtol=1e-5)
    np.testing.assert_allclose(recolour(maps.saturation(one(0.0)), rgb), [grey] * 3, rtol=1e-5)
    np.testing.assert_allclose(recolour(maps.saturation(one(1.3)), rgb), 1.3 * (rgb - grey) + grey, rtol=1e-5)


@quick
@given(st.floats(-3.1, 3.1))
def test_hue_turns_chroma_and_keeps_luma(angle):
    rgb = np.array([0.8, 0.2, 0.3])
    turned = recolour(maps.hue(one(angle)), rgb)
    luma, phase, quadrature = colorsys.rgb_to_yiq(*rgb)
    new = colorsys.rgb_to_yiq(*turned)
    expected = (
        math.cos(angle) * phase - math.sin(angle) * quadrature,
        math.sin(angle) * phase + math.cos(angle) * quadrature,
    )
    # colorsys rounds the NTSC weights to two digits
    np.testing.assert_allclose(new, (luma, *expected), atol=0.01)
    np.testing.assert_allclose(recolour(maps.hue(one(angle)), np.full(3, 77.0)), 77.0, rtol=1e-4)
