"""The warp beside Pillow and SciPy, and the way back of points."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import interpolate, ndimage

from tfmap import augment, maps
from tfmap.augment.draws import Draw
from tfmap.augment.pixels import warp
from tfmap.augment.warps import MOST_BENT, Bend, Warp
from tfmap.errors import InputError

SIZE = (72, 96)


@pytest.fixture(scope="module")
def picture(photo):
    """uint8 (72, 96, 3)."""
    return np.asarray(Image.fromarray(photo).resize(SIZE[::-1]))


def show(picture, shown, border=None):
    return np.stack([np.asarray(plane) for plane in warp(picture[None], shown.sources(), border)], axis=-1)[0]


def grid():
    return np.mgrid[: SIZE[0], : SIZE[1]].astype("float64") + 0.5


def bend(seed, alpha=MOST_BENT, cells=4, count=1):
    control = np.random.default_rng(seed).uniform(-alpha, alpha, (count, 2, cells + 3, cells + 3)).astype("float32")
    return Bend(control)


inwards = st.lists(st.floats(0, 0.2), min_size=8, max_size=8)


@settings(max_examples=20, deadline=None)
@given(inwards)
def test_a_perspective_moves_the_corners_where_it_says_and_points_return(numbers):
    moved = np.array(numbers, "float32").reshape(1, 4, 2)
    matrix = maps.perspective(moved, SIZE)
    corners = np.array([[0, 0], [0, 96], [72, 96], [72, 0]], "float32")
    sign = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    expected = corners + sign * moved[0] * SIZE
    shown = Warp(matrix, SIZE, projective=True)
    np.testing.assert_allclose(shown.follow(corners[None])[0], expected, atol=2e-3)
    np.testing.assert_allclose(maps.apply_to_points(matrix, shown.follow(corners[None])), corners[None], atol=5e-3)
    depth = np.asarray(matrix)[0, 2] @ [[0, 0, 72, 72], [0, 96, 0, 96], [1, 1, 1, 1]]
    assert depth.min() > 0.28  # nothing of the output lies behind the camera
    assert not np.asarray(shown.mirrors())[0]


def test_perspective_is_pillows(picture):
    matrix = np.asarray(maps.perspective(np.random.default_rng(2).uniform(0, 0.15, (1, 4, 2)).astype("float32"), SIZE))
    ours = show(picture, Warp(matrix, SIZE, projective=True), 128.0)
    # Pillow wants x before y, and counts from pixel corners as we do
    swap = matrix[0][[1, 0, 2]][:, [1, 0, 2]].astype("float64")
    swap /= swap[2, 2]
    pillow = Image.fromarray(picture).transform(
        SIZE[::-1], Image.Transform.PERSPECTIVE, swap.ravel()[:8], Image.Resampling.BILINEAR, fillcolor=(128,) * 3
    )
    pillow = np.asarray(pillow, "float64")
    inside = ndimage.binary_erosion((pillow != 128).any(-1), iterations=2)
    assert inside.mean() > 0.5
    assert np.abs(ours - pillow)[inside].max() <= 1.0  # Pillow truncates
    outside = ndimage.binary_erosion((pillow == 128).all(-1), iterations=2, border_value=1)
    assert outside.sum() > 50
    assert (ours[outside] == 128).all()


def test_a_bend_is_scipys_cubic_spline(picture):
    bent = bend(0)
    size = bent.control.shape[-1]
    # SciPy's B-spline with the same control points: knots at whole cells
    knots = np.arange(-3.0, size + 1)
    y, x = ((np.arange(n) + 0.5) / n * bent.cells for n in SIZE)
    fields = []
    for control, side in zip(bent.control[0].astype("float64"), SIZE, strict=True):
        along_y = interpolate.BSpline(knots, control, 3)(y)
        fields.append(interpolate.BSpline(knots, along_y.T, 3)(x).T * side / bent.cells)
    dense = [np.asarray(part)[0] for part in bent.dense(SIZE)]
    np.testing.assert_allclose(dense, fields, atol=1e-4)
    rows, columns = grid() + np.array(fields)
    image = picture.astype("float64")
    expected = np.stack(
        [
            ndimage.map_coordinates(image[..., c], [rows - 0.5, columns - 0.5], order=1, mode="reflect")
            for c in range(3)
        ],
        axis=-1,
    )
    assert np.abs(np.array(fields)).max() > 2
    np.testing.assert_allclose(show(picture, Warp(maps.identity(1), SIZE, bend=bent)), expected, atol=0.05)


@pytest.mark.parametrize("cells", [1, 2, 4, 9])
def test_the_strongest_bend_folds_nothing(cells):
    bent = bend(1, cells=cells, count=16)
    signs = np.sign(bent.control)
    for control in (bent.control, signs * MOST_BENT):  # at random, and every point as far as it may go
        down, right = (np.asarray(part, "float64") for part in Bend(control.astype("float32")).dense((240, 240)))
        jacobian = (1 + np.gradient(down, axis=1)) * (1 + np.gradient(right, axis=2)) - np.gradient(
            down, axis=2
        ) * np.gradient(right, axis=1)
        assert jacobian.min() > 0


def test_the_slope_of_a_bend_is_bounded_by_the_number_in_the_comment():
    t = np.linspace(0, 1, 401)
    weight = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    slope = np.stack([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2]) / 2
    down, right = np.einsum("iu,jv->ijuv", slope, weight), np.einsum("iu,jv->ijuv", weight, slope)
    worst = max(np.abs(down + right).sum((0, 1)).max(), np.abs(down - right).sum((0, 1)).max())
    assert abs(worst - 2.046) < 1e-3
    assert MOST_BENT * worst < 0.82


@pytest.mark.parametrize(("alpha", "within"), [(MOST_BENT, 0.05), (0.2, 1e-3)])
def test_points_find_their_way_through_a_bend(alpha, within):
    shown = Warp(maps.rotation(np.full(32, 0.3, "float32"), SIZE), SIZE, bend=bend(3, alpha, count=32))
    points = np.random.default_rng(4).uniform(0, SIZE, (32, 50, 2)).astype("float32")
    seen_at = shown.follow(points)
    back = maps.apply_to_points(shown.matrix, seen_at + shown.bend.at(seen_at, SIZE))
    assert np.abs(np.asarray(back) - points).max() < within  # pixels


def test_a_bend_at_points_is_the_bend_of_pixels():
    bent = bend(5, count=2)
    centres = np.stack(grid(), axis=-1).reshape(1, -1, 2).repeat(2, axis=0).astype("float32")
    at = np.asarray(bent.at(centres, SIZE)).reshape(2, *SIZE, 2)
    dense = bent.dense(SIZE)
    np.testing.assert_allclose(at[..., 0], dense[0], atol=1e-4)
    np.testing.assert_allclose(at[..., 1], dense[1], atol=1e-4)


def test_one_warp_of_all_ops_is_the_ops_one_by_one(picture):
    """Perspective and bend composed with affine maps, against SciPy following each map in turn."""
    size = SIZE
    steps = [
        maps.rotation(np.array([0.2], "float32"), size),
        maps.perspective(np.full((1, 4, 2), [[0.05, 0.1], [0, 0.02], [0.1, 0], [0.03, 0.08]], "float32"), size),
        maps.zoom(np.array([1.2], "float32"), size),
    ]
    bent = bend(6, 0.3)
    matrix = maps.identity(1)
    for step in steps:
        matrix = maps.compose(matrix, step)
    points = grid()
    points = points + np.array([np.asarray(part)[0] for part in bent.dense(size)])
    for step in reversed(steps):
        moved = np.einsum("ij,jhw->ihw", np.asarray(step, "float64")[0], np.concatenate([points, np.ones((1, *size))]))
        points = moved[:2] / moved[2]
    image = picture.astype("float64")
    expected = np.stack(
        [ndimage.map_coordinates(image[..., c], points - 0.5, order=1, mode="reflect") for c in range(3)], axis=-1
    )
    np.testing.assert_allclose(show(picture, Warp(matrix, size, True, bent)), expected, atol=0.05)


def test_far_beyond_the_horizon_nothing_comes_back(picture):
    matrix = maps.compose(
        maps.perspective(np.full((1, 4, 2), [[0, 0.2], [0, 0.2], [0, 0], [0, 0]], "float32"), SIZE),
        maps.shift(np.array([72.0 * 2], "float32"), np.array([0.0], "float32")),
    )
    shown = show(picture, Warp(matrix, SIZE, projective=True), 128.0)
    assert np.isfinite(shown).all()
    assert (shown[:60] == 128).all()


def drawn(op, count=400):
    (call,) = augment.parse(op)
    images = np.full((count, 40, 60, 3), 90, "uint8")
    return call.function(Draw(tf.constant((5, 9), tf.uint32), images), **call.arguments)


def test_elastic_and_perspective_draw_over_their_whole_range():
    control = np.asarray(drawn("elastic(.3, 6)").control)
    assert control.shape == (400, 2, 9, 9)
    assert -0.3 <= control.min() < -0.29
    assert 0.29 < control.max() <= 0.3
    matrix = np.asarray(drawn("perspective(.4)"))
    corner = np.asarray(Warp(matrix, (40, 60), True).follow(np.zeros((400, 1, 2), "float32")))[:, 0]
    assert corner.min() > -1e-3
    assert 7.8 < corner[:, 0].max() <= 8.001
    assert 11.7 < corner[:, 1].max() <= 12.001


def test_elastic_stands_once():
    text = r"augment: elastic may stand once in a policy, and in no pick of more than one\."
    batch = {"image": np.zeros((2, 16, 16, 3), "uint8")}
    for policy in ("elastic|flip|elastic", "pick(2, elastic, flip)"):
        with pytest.raises(InputError, match=text):
            augment.build(policy)(batch, (0, 0))
    with pytest.raises(InputError, match=r"augment: elastic: cells must be the same in all policies of a pick\."):
        augment.build("pick(1, elastic(.1, 3), elastic(.1, 4))")(batch, (0, 0))
