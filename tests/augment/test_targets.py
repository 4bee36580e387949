"""Boxes, key points and masks against the pixels of a marked object."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfmap import augment
from tfmap import batch as contract
from tfmap.augment import targets
from tfmap.augment.ops import OPS
from tfmap.errors import InputError

SEED = (3, 14)
SIZE = (96, 128)
COUNT = 24
BOX = (30, 40, 58, 84)
GEOMETRY = [name for name, op in sorted(OPS.items()) if op.kind in ("geometry", "projective", "bend")]
# A map of these turns rectangles into rectangles.
STRAIGHT = ("flip", "vflip", "turn90", "rrc", "zoom", "shift")


def scene(box=BOX, count=COUNT, size=SIZE):
    """Black pictures with one light rectangle, its box, its mask and a point at its centre."""
    top, left, bottom, right = box
    image = np.zeros((count, *size, 3), "uint8")
    mask = np.zeros((count, *size), "int32")
    image[:, top:bottom, left:right] = 250
    mask[:, top:bottom, left:right] = 2
    boxes, classes = np.zeros((count, 3, 4), "float32"), np.full((count, 3), -1, "int32")
    boxes[:, 1], classes[:, 1] = box, 2
    points = np.zeros((count, 2, 3), "float32")
    points[:, 0] = [(top + bottom) / 2, (left + right) / 2, 1]
    return {"image": image, "boxes": boxes, "classes": classes, "mask": mask, "points": points}


def extent(marked):
    """yxyx of the marked pixels, or None where there are none."""
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]) if len(rows) else None


def run(ops, batch, **options):
    new = augment.build(ops, classes=6, **options)(batch, SEED)
    contract.check(new)
    return {key: np.asarray(value) for key, value in new.items()}


def is_light(image):
    """Bool (H, W): nearer to the object's 250 than to the black around it; 128 is beyond the border."""
    return image[..., 0] > 189


@pytest.mark.parametrize("op", GEOMETRY)
def test_boxes_masks_and_points_lie_where_the_marked_pixels_lie(op):
    new = run(op, scene())
    assert new["boxes"].shape == (COUNT, 3, 4)
    assert (new["classes"][:, [0, 2]] == -1).all()
    assert (new["boxes"][:, [0, 2]] == 0).all()
    compared = 0
    for image, box, mask, point in zip(new["image"], new["boxes"][:, 1], new["mask"], new["points"][:, 0], strict=True):
        seen = extent(mask == 2)
        touches = seen is None or (seen[:2] == 0).any() or (seen[2:] == SIZE).any()
        if seen is not None:
            np.testing.assert_allclose(extent(is_light(image)), seen, atol=1)
        if box.any() and (op in STRAIGHT or not touches):
            compared += 1
            np.testing.assert_allclose(box, seen, atol=1)
        if point[2]:
            assert mask[int(point[0]), int(point[1])] == 2
            if not touches:
                rows, columns = np.nonzero(mask == 2)
                # a perspective moves the centre of an area, not the middle of its points
                assert abs(rows.mean() + 0.5 - point[0]) < 3
                assert abs(columns.mean() + 0.5 - point[1]) < 3
        else:
            assert (point == 0).all()
    assert compared >= 4


@pytest.mark.parametrize("op", ["flip(1)", "vflip(1)", "flip(1)|vflip(1)"])
def test_mirrored_boxes_are_exact(op):
    (top, left, bottom, right), (height, width) = BOX, SIZE
    box = [height - bottom, left, height - top, right] if "vflip" in op else list(BOX)
    if op.startswith("flip"):
        box[1], box[3] = width - right, width - left
    np.testing.assert_array_equal(run(op, scene())["boxes"][:, 1], [box] * COUNT)


def test_everything_follows_the_product_of_all_maps():
    new = run("rotate(20)|flip|perspective(.3)|zoom(.3)|elastic(.3)|shift(.05)|shear(8)", scene())
    compared = 0
    for image, box, mask in zip(new["image"], new["boxes"][:, 1], new["mask"], strict=True):
        seen = extent(mask == 2)
        np.testing.assert_allclose(extent(is_light(image)), seen, atol=1)
        if box.any() and (seen[:2] > 0).all() and (seen[2:] < SIZE).all():
            compared += 1
            np.testing.assert_allclose(box, seen, atol=1)
    assert compared >= 8


def test_a_box_is_dropped_when_less_than_a_quarter_of_it_is_left():
    batch = scene()
    new = run("shift(1)", batch)
    share = (new["mask"] == 2).sum(axis=(1, 2)) / (batch["mask"] == 2).sum(axis=(1, 2))
    kept = new["classes"][:, 1] == 2
    sure = np.abs(share - targets.KEEP) > 0.06  # pixels are whole
    np.testing.assert_array_equal(kept[sure], (share > targets.KEEP)[sure])
    assert 3 < kept[sure].sum() < sure.sum() - 3
    np.testing.assert_array_equal(new["boxes"][~kept], 0)
    np.testing.assert_array_equal(new["classes"][~kept], -1)


def test_a_box_that_becomes_thinner_than_two_pixels_is_dropped():
    small = scene(box=(40, 40, 42, 90))
    new = run("zoom(.5)", small)
    height = new["boxes"][:, 1, 2] - new["boxes"][:, 1, 0]
    assert (height[height > 0] >= targets.LEAST).all()
    assert 3 < (height == 0).sum() < COUNT - 3


def test_beyond_the_border_is_grey_with_boxes_or_points_and_mirrored_without():
    batch = scene(box=(0, 0, 20, 20))
    image, mask = batch["image"], batch["mask"]
    plain = run("shift(.5)", batch)
    outside = plain["mask"] == targets.IGNORED
    assert outside.mean() > 0.2
    assert (plain["image"][outside] == 128).all()
    mirrored = run("shift(.5)", {"image": image, "mask": mask})
    np.testing.assert_array_equal(mirrored["mask"], plain["mask"])
    assert (mirrored["image"][outside] > 189).any()  # the object once more
    assert (mirrored["image"][outside] != 128).mean() > 0.99


def test_points_leave_and_swap_names_where_left_becomes_right():
    batch = scene(box=(10, 4, 30, 20))
    batch["points"][:, 1] = [20.0, 6.0, 1.0]
    pairs = run("flip(1)", batch, point_pairs=[(0, 1)])["points"]
    plain = run("flip(1)", batch)["points"]
    np.testing.assert_allclose(plain[:, 0], [[20, 128 - 12, 1]] * COUNT, atol=1e-4)
    np.testing.assert_array_equal(pairs, plain[:, ::-1])
    turned = run("rotate(90)|flip(1)|vflip(1)", batch, point_pairs=[(0, 1)])["points"]
    np.testing.assert_array_equal(turned, run("rotate(90)|flip(1)|vflip(1)", batch)["points"])
    shifted = run("shift(.3)", batch)
    inside = shifted["points"][..., 2] == 1
    assert 0 < inside.sum() < inside.size
    assert (shifted["points"][~inside] == 0).all()


def test_erase_hides_what_it_covers():
    batch = scene()
    batch["boxes"][:, 0], batch["classes"][:, 0] = (0, 0, 90, 120), 1
    new = run("erase(1, .3)", batch)
    wiped = (new["image"] == 128).all(axis=-1)
    np.testing.assert_array_equal(new["mask"] == targets.IGNORED, wiped)
    left = 1 - wiped[:, 30:58, 40:84].mean(axis=(1, 2))
    np.testing.assert_array_equal(new["classes"][:, 1] == 2, left >= targets.KEEP)
    assert 0 < (left < targets.KEEP).sum() < COUNT
    for box, mask in zip(new["boxes"][:, 1], new["mask"], strict=True):
        if box.any():
            np.testing.assert_array_equal(box, extent(mask == 2))
    points = new["points"][:, 0]
    np.testing.assert_array_equal(points[:, 2] == 0, wiped[:, 44, 62])


def test_cutmix_takes_boxes_and_mask_of_the_pasted_rectangle_along():
    batch = scene(count=8)
    other = scene(box=(20, 60, 70, 120), count=8)
    for key in ("image", "boxes", "classes", "mask"):
        batch[key][1::2] = other[key][1::2]
    batch["mask"][1::2] *= 2
    batch["classes"][1::2, 1] = 4
    del batch["points"]
    new = run("cutmix(1)", {**batch, "label": np.arange(8, dtype="int32") % 6})
    assert new["boxes"].shape == (8, 6, 4)
    assert (new["label"] > 0).sum() > 8
    compared = 0
    for k in range(8):
        own, before = (4, 2) if k % 2 else (2, 4)
        for row, kind in ((1, own), (4, before)):
            if new["classes"][k, row] >= 0:
                compared += 1
                assert new["classes"][k, row] == kind
                np.testing.assert_array_equal(new["boxes"][k, row], extent(new["mask"][k] == kind))
    assert compared > 8


def test_mixup_keeps_boxes_that_show_and_the_mask_of_the_larger_share():
    batch = scene(count=16)
    del batch["points"]
    batch["mask"][1::2] *= 2
    label = np.eye(2, dtype="float32")[np.arange(16) % 2]
    new = run("mixup(1)", {**batch, "label": label})
    share = new["label"][np.arange(16), np.arange(16) % 2]
    np.testing.assert_array_equal(new["classes"][:, 1] == 2, share >= targets.KEEP)
    np.testing.assert_array_equal(new["classes"][:, 4] == 2, 1 - share >= targets.KEEP)
    np.testing.assert_array_equal(new["mask"][:, 40, 50] == batch["mask"][:, 40, 50], share >= 0.5)
    assert set(np.unique(new["mask"])) == {0, 2, 4}
    np.testing.assert_array_equal(new["boxes"][:, 1][share >= targets.KEEP], [BOX] * (share >= targets.KEEP).sum())


@pytest.mark.parametrize(
    "ops", [pytest.param("rotate(30)|perspective|elastic|erase(.5)", marks=pytest.mark.slow), "copy_paste|mosaic|mix"]
)
def test_one_seed_is_one_result_in_eager_graph_and_xla(ops):
    batch = scene(count=6)
    del batch["points"]
    tensors = {key: tf.constant(value) for key, value in {**batch, "weight": np.ones(6, "float32")}.items()}
    policy = augment.build(ops, classes=4)
    first = policy(tensors, SEED)
    for made in (
        tf.function(policy)(tensors, tf.constant(SEED)),
        tf.function(policy, jit_compile=True)(tensors, tf.constant(SEED)),
        policy._apply(tensors, tf.constant(SEED, tf.uint32)),
    ):
        np.testing.assert_allclose(made["boxes"], first["boxes"], atol=1e-2)
        np.testing.assert_array_equal(made["classes"], first["classes"])
        assert np.mean(np.asarray(made["mask"]) != np.asarray(first["mask"])) < 1e-3
        difference = np.abs(np.asarray(made["image"], "int32") - np.asarray(first["image"]))
        assert (difference > 1).mean() < 1e-3


def test_the_input_is_left_alone():
    batch = scene(count=2)
    before = {key: value.copy() for key, value in batch.items()}
    run("rotate(30)|erase(1)", batch)
    for key, value in before.items():
        np.testing.assert_array_equal(batch[key], value)


def test_a_blend_of_warps_is_refused_where_something_lies_in_the_picture():
    batch = scene(count=2)
    text = (
        r"augment: a blend with \w+ shows several versions of a picture at once, and 'boxes' cannot follow them all\. "
        r"Leave it out for this batch, or blend colours alone\."
    )
    for ops in ("blend(rotate, hue)", "flip|maybe(.5, blend(erase))", "augmix"):
        with pytest.raises(InputError, match=text):
            run(ops, batch)
    np.testing.assert_array_equal(run("blend(hue, grey)", batch)["boxes"], batch["boxes"])


def test_who_takes_a_warp_moves_its_boxes_and_the_others_keep_theirs():
    batch = scene()
    new = run("maybe(.5, flip(1))|maybe(.5, elastic(.4))|pick(1, keep, erase(1, .1))", batch)
    moved = (new["boxes"][:, 1] != batch["boxes"][:, 1]).any(axis=-1)
    changed = (new["mask"] != batch["mask"]).any(axis=(1, 2))
    assert 0 < moved.sum() < changed.sum() < COUNT
    for box, mask in zip(new["boxes"][:, 1], new["mask"], strict=True):
        if box.any():
            np.testing.assert_allclose(box, extent(mask == 2), atol=1)
