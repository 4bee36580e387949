"""Each op: what it draws, and that the policy shows exactly the maps that the op drew."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfmap import augment
from tfmap.augment.draws import Draw

SEED = (5, 9)
SIDES = (40, 60)
_QUARTERS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # cosine and sine


def drawn(op, count=600):
    """What the op draws for a batch of `count` grey pictures of 40 x 60."""
    (call,) = augment.parse(op)
    images = np.full((count, *SIDES, 3), 90, "uint8")
    return np.asarray(call.function(Draw(tf.constant(SEED, tf.uint32), images), **call.arguments), "float64")


def spread(values, low, high):
    """Whether the values fill [low, high], and nothing else."""
    span = high - low
    return (
        low - 1e-4 * span <= values.min() < low + 0.03 * span
        and high - 0.03 * span < values.max() <= high + 1e-4 * span
    )


@pytest.mark.parametrize("op", ["flip(.3)", "vflip(.3)"])
def test_flips_mirror_a_share_p(op):
    matrix = drawn(op)
    mirrored, other = (matrix[:, 1, 1], matrix[:, 0, 0]) if op.startswith("f") else (matrix[:, 0, 0], matrix[:, 1, 1])
    assert set(mirrored) == {1.0, -1.0}
    assert abs((mirrored == -1).mean() - 0.3) < 0.06
    assert set(other) == {1.0}


def test_rrc_crops_a_share_of_the_area_inside_the_picture():
    matrix = drawn("rrc(.3, .9, 1.5)")
    height, width = matrix[:, 0, 0], matrix[:, 1, 1]  # of the crop, over those of the picture
    assert spread((height * width)[(height < 1) & (width < 1)], 0.3, 0.9)
    assert spread((width / height)[height * width < 0.6], 1 / 1.5, 1.5)
    assert max(height.max(), width.max()) <= 1
    assert matrix[:, 0, 2].min() >= 0
    assert (matrix[:, 0, 2] + 40 * height).max() <= 40 + 1e-4
    assert (matrix[:, 1, 2] + 60 * width).max() <= 60 + 1e-4


def test_rotate_turns_up_to_the_degrees_both_ways():
    matrix = drawn("rotate(25)")
    assert spread(np.degrees(np.arctan2(matrix[:, 0, 1], matrix[:, 0, 0])), -25, 25)
    np.testing.assert_allclose(matrix[:, :2] @ [20, 30, 1], [[20, 30]] * len(matrix), atol=1e-4)  # the centre stays


def test_zoom_magnifies_both_sides_alike():
    matrix = drawn("zoom(.4)")
    assert spread(1 / matrix[:, 0, 0], 0.6, 1.4)
    np.testing.assert_array_equal(matrix[:, 0, 0], matrix[:, 1, 1])


def test_shift_is_a_share_of_each_side_drawn_apart():
    matrix = drawn("shift(.25)")
    assert spread(matrix[:, 0, 2], -10, 10)
    assert spread(matrix[:, 1, 2], -15, 15)
    assert abs(np.corrcoef(matrix[:, 0, 2], matrix[:, 1, 2])[0, 1]) < 0.15


def test_shear_slants_both_ways_and_keeps_areas():
    matrix = drawn("shear(20)")
    assert spread(np.degrees(np.arctan(matrix[:, 1, 0])), -20, 20)
    assert spread(np.degrees(np.arctan(matrix[:, 0, 1])), -20, 20)
    np.testing.assert_allclose(np.linalg.det(matrix), 1, atol=1e-5)


def test_brightness_contrast_saturation_draw_factors_about_one():
    assert spread(drawn("brightness(.4)")[:, 0, 0], 0.6, 1.4)
    contrast = drawn("contrast(.4)")
    assert spread(contrast[:, 0, 0], 0.6, 1.4)
    np.testing.assert_allclose(contrast @ [90, 90, 90, 1], 90, atol=1e-3)  # the mean grey stays
    saturation = drawn("saturation(.4)")
    # the difference of two colours grows by the factor
    assert spread(saturation[:, 0, 0] - saturation[:, 1, 0], 0.6, 1.4)


def test_hue_turns_up_to_a_share_of_the_circle():
    matrix = drawn("hue(.1)")
    axis = np.ones(3) / np.sqrt(3)
    np.testing.assert_allclose(matrix[:, :, :3] @ axis, [axis] * len(matrix), atol=1e-5)
    # eigenvalues are 1 and exp(+-i angle), so the trace is 1 + 2 cos(angle)
    angle = np.arccos(np.clip((np.trace(matrix[:, :, :3], axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert spread(np.degrees(angle), 0, 36)


def test_erase_takes_one_rectangle_from_a_share_p():
    mask = drawn("erase(.4, .3)")[..., 0] > 0
    share = mask.mean(axis=(1, 2))
    assert abs((share > 0).mean() - 0.4) < 0.06
    assert share.max() < 0.34
    rows, columns = mask.any(axis=2).sum(axis=1), mask.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(mask.sum(axis=(1, 2)), rows * columns)


def test_mixup_keeps_one_share_everywhere_and_cutmix_all_or_nothing():
    assert drawn("mixup(.4)").shape == (600, 1, 1, 1)
    cut = drawn("cutmix(1)")
    assert set(cut.ravel()) == {0.0, 1.0}
    assert abs(cut.mean() - 0.5) < 0.05


def test_mix_tosses_a_coin_between_the_two():
    share = drawn("mix(5, 1)")
    cut = np.isin(share, [0.0, 1.0]).all(axis=(1, 2, 3))
    assert abs(cut.mean() - 0.5) < 0.08
    blended = share[~cut].reshape((~cut).sum(), -1)
    np.testing.assert_array_equal(blended.min(axis=1), blended.max(axis=1))


def test_turn90_copies_pixels_of_a_square_picture(batch):
    square = batch["image"][:, :, :32]
    new = np.asarray(augment.build("turn90")({"image": square}, SEED)["image"])
    turns = [
        next(k for k in range(4) if (new_one == np.rot90(image, k)).all())
        for new_one, image in zip(new, square, strict=True)
    ]
    assert len(set(turns)) > 2
    matrix = drawn("turn90")
    share = [((matrix[:, 0, 0] == cos) & (np.sign(matrix[:, 1, 0]) == -sin)).mean() for cos, sin in _QUARTERS]
    np.testing.assert_allclose(share, 0.25, atol=0.06)


@pytest.mark.parametrize(
    ("op", "entry", "most"),
    [
        ("shear_x(20, 5)", (1, 0), np.tan(np.radians(20))),
        ("shear_y(20, 5)", (0, 1), np.tan(np.radians(20))),
        ("shift_x(.25, .1)", (1, 2), 15),
        ("shift_y(.25, .1)", (0, 2), 10),
    ],
)
def test_ops_along_one_axis_leave_the_other_and_the_middle_out(op, entry, most):
    matrix = drawn(op)
    assert spread(matrix[:, *entry], -most, most)
    assert np.abs(matrix[:, *entry]).min() > 0.2 * most
    other = (1 - entry[0], 1 - entry[1] if entry[1] < 2 else 2)
    assert not matrix[:, *other].any()


@pytest.mark.parametrize("op", ["flip", "vflip", "rrc(.3)", "rotate(40)", "zoom(.5)", "shift(.3)", "shear(20)"])
def test_the_policy_shows_the_map_that_a_geometric_op_drew(op, batch):
    (call,) = augment.parse(op)
    matrix = np.asarray(call.function(Draw(tf.constant(SEED, tf.uint32), batch["image"]), **call.arguments), "float64")
    shown = np.asarray(augment.build(op)({"image": batch["image"]}, SEED)["image"], "float64")
    y, x = np.mgrid[:32, :48] + 0.5
    for image, m, ours in zip(batch["image"].astype("float64"), matrix, shown, strict=True):
        points = [m[row, 0] * y + m[row, 1] * x + m[row, 2] - 0.5 for row in (0, 1)]
        expected = [ndimage.map_coordinates(image[..., c], points, order=1, mode="reflect") for c in range(3)]
        assert np.abs(ours - np.stack(expected, axis=-1)).max() < 0.52  # half a grey value of rounding


@pytest.mark.parametrize("op", ["brightness(.5)", "contrast(.9)", "saturation(1)", "hue(.3)"])
def test_the_policy_shows_the_map_that_a_colour_op_drew(op, batch):
    (call,) = augment.parse(op)
    matrix = np.asarray(call.function(Draw(tf.constant(SEED, tf.uint32), batch["image"]), **call.arguments), "float64")
    shown = np.asarray(augment.build(op)({"image": batch["image"]}, SEED)["image"], "float64")
    expected = np.einsum("bhwc,brc->bhwr", batch["image"], matrix[:, :, :3]) + matrix[:, None, None, :, 3]
    assert np.abs(shown - np.clip(expected, 0, 255)).max() < 0.52
