"""Mosaic and copy-paste against the pixels they show."""

from __future__ import annotations

import numpy as np
import pytest

from tfmap import augment
from tfmap import batch as contract
from tfmap.augment import targets

SIZE = (96, 128)
COUNT = 8


@pytest.fixture
def batch():
    """Eight scenes: picture k shows one object of class k (mask k + 1) at a place of its own on a ground of 10 k."""
    image = np.ones((COUNT, *SIZE, 3), "uint8") * (10 * np.arange(COUNT, dtype="uint8"))[:, None, None, None]
    mask = np.zeros((COUNT, *SIZE), "int32")
    boxes, classes = np.zeros((COUNT, 3, 4), "float32"), np.full((COUNT, 3), -1, "int32")
    for k, (top, left) in enumerate(np.random.default_rng(0).uniform(0, 40, (COUNT, 2)).astype(int)):
        image[k, top : top + 40, left : left + 56] = 250
        mask[k, top : top + 40, left : left + 56] = k + 1
        boxes[k, 1], classes[k, 1] = (top, left, top + 40, left + 56), k
    label, weight = np.eye(COUNT, dtype="float32"), np.arange(COUNT, dtype="float32")
    return {"image": image, "boxes": boxes, "classes": classes, "mask": mask, "label": label, "weight": weight}


def extent(marked):
    """yxyx of the marked pixels."""
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


def run(ops, batch):
    new = augment.build(ops, classes=6)(batch, (3, 14))
    contract.check(new)
    return {key: np.asarray(value) for key, value in new.items()}


def is_light(image):
    """Bool (H, W): nearer to the object's 250 than to any ground."""
    return image[..., 0] > 160


def test_a_mosaic_shows_four_neighbours_with_their_boxes_and_masks(batch):
    new = run("mosaic(1)", batch)
    assert new["boxes"].shape == (COUNT, 12, 4)
    assert new["classes"].shape == (COUNT, 12)
    compared = 0
    for k in range(COUNT):
        shown = set(np.unique(new["mask"][k])) - {0}
        ring = {(k - back) % COUNT + 1 for back in range(4)}
        assert shown <= ring
        for kind in ring:
            box = new["boxes"][k][new["classes"][k] == kind - 1]
            if len(box):
                compared += 1
                seen = extent(new["mask"][k] == kind)
                np.testing.assert_allclose(box[0], seen, atol=1)
                inside = is_light(new["image"][k]) & (new["mask"][k] == kind)
                np.testing.assert_allclose(extent(inside), seen, atol=1)
    assert compared > 12


def test_the_tiles_of_a_mosaic_meet_at_its_centre_in_the_shares_of_the_label(batch):
    batch["image"] = np.ones_like(batch["image"]) * (10 * np.arange(COUNT, dtype="uint8"))[:, None, None, None]
    new = run("mosaic(1)", batch)
    np.testing.assert_allclose(new["label"].sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(new["weight"], new["label"] @ batch["weight"], atol=1e-4)
    for k in range(COUNT):
        image = new["image"][k, ..., 0] // 10
        corners = [image[0, 0], image[0, -1], image[-1, 0], image[-1, -1]]
        assert corners == [(k - back) % COUNT for back in range(4)]
        for back, corner in enumerate(corners):
            share = (image == corner).mean()
            # pixels are whole: a centre is off by half of one on each side
            assert abs(share - new["label"][k, corner]) < 0.5 / SIZE[0] + 0.5 / SIZE[1]
            rows, columns = np.nonzero(image == corner)
            assert (rows.max() + 1 - rows.min()) * (columns.max() + 1 - columns.min()) == len(rows), back
        heights = [(image[:, 0] == corners[0]).mean(), (image[0] == corners[0]).mean()]
        assert min(heights) > 0.24
        assert max(heights) < 0.76


def test_a_box_that_a_tile_cuts_to_less_than_a_quarter_is_dropped(batch):
    new = run("mosaic(1)", batch)
    dropped = 0
    for k in range(COUNT):
        for back in range(4):
            kind = (k - back) % COUNT
            box = new["boxes"][k][new["classes"][k] == kind]
            area = 40 * 56 * _scale(new["label"][k], k, back) ** 2
            share = (new["mask"][k] == kind + 1).sum() / area
            if abs(share - targets.KEEP) > 0.05:
                assert len(box) == (share > targets.KEEP)
                dropped += not len(box)
    assert dropped > 0


def _scale(label, k, back):
    """The scale of a tile, from the shares of the four in the area."""
    share = [label[(k - n) % COUNT] for n in range(4)]
    height = share[0] + share[1] if back < 2 else share[2] + share[3]
    width = share[0] + share[2] if back % 2 == 0 else share[1] + share[3]
    return max(height, width, 0.5)


def test_mosaic_leaves_a_share_of_the_pictures_alone(batch):
    new = run("mosaic(.5)", batch)
    alone = new["label"].max(axis=1) == 1
    assert 1 < alone.sum() < COUNT - 1
    for key in ("image", "mask", "weight"):
        np.testing.assert_array_equal(new[key][alone], batch[key][alone])
    np.testing.assert_array_equal(new["boxes"][alone][:, :3], batch["boxes"][alone])
    np.testing.assert_array_equal(new["classes"][alone][:, 3:], -1)
    none = run("mosaic(0)", batch)
    np.testing.assert_array_equal(none["image"], batch["image"])


def test_copy_paste_brings_pixels_mask_and_box_of_the_object_before(batch):
    batch["mask"][2, :5, :5] = targets.IGNORED
    new = run("copy_paste(1)", batch)
    before = np.roll(batch["mask"], 1, axis=0)
    is_object = (before > 0) & (before != targets.IGNORED)
    np.testing.assert_array_equal(new["mask"], np.where(is_object, before, batch["mask"]))
    np.testing.assert_array_equal(
        new["image"], np.where(is_object[..., None], np.roll(batch["image"], 1, axis=0), batch["image"])
    )
    assert new["boxes"].shape == (COUNT, 6, 4)
    hidden = 0
    for k in range(COUNT):
        other = (k - 1) % COUNT
        np.testing.assert_array_equal(new["boxes"][k, 4], batch["boxes"][other, 1])
        assert new["classes"][k, 4] == other
        own = new["mask"][k] == k + 1
        share = own.sum() / (40 * 56)
        assert (new["classes"][k, 1] == k) == (share >= targets.KEEP)
        hidden += share < 1
        if share >= targets.KEEP:
            np.testing.assert_array_equal(new["boxes"][k, 1], extent(own))
    assert hidden > 2
    np.testing.assert_allclose(new["label"].max(axis=1), 1 - 40 * 56 / (96 * 128), atol=1e-5)


def test_a_thin_object_brings_its_box_although_it_fills_little_of_it(batch):
    diagonal = np.zeros(SIZE, bool)
    diagonal[np.arange(10, 60), np.arange(20, 70)] = True
    batch["mask"][0] = diagonal
    batch["boxes"][0, 1] = [10, 20, 60, 70]
    new = run("copy_paste(1)", batch)
    np.testing.assert_array_equal(new["boxes"][1, 4], [10, 20, 60, 70])


def test_without_targets_a_mosaic_of_pictures_and_class_indices_works(photos):
    images, labels = photos
    new = run("mosaic(1)|mixup(1)", {"image": images[::6], "label": labels[::6]})
    np.testing.assert_allclose(new["label"].sum(axis=1), 1, atol=1e-5)
    assert (np.sort(new["label"], axis=1)[:, -3] > 0).all()


def test_each_op_across_pictures_multiplies_the_rows_of_boxes(batch):
    new = run("copy_paste|mosaic|mix", batch)
    assert new["boxes"].shape == (COUNT, 3 * 2 * 4 * 2, 4)
    assert new["classes"].shape == (COUNT, 3 * 2 * 4 * 2)
