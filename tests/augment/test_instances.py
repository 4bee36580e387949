"""Objects' numbers against the pixels they stand for, whatever becomes of the pictures."""

from __future__ import annotations

import numpy as np
import pytest

from tfmap import augment
from tfmap import batch as contract
from tfmap.errors import InputError

SIZE, COUNT, ROWS = (96, 128), 8, 4
BRIGHT = (250, 200, 150)  # of the three objects of a picture, of class 0, 1 and 2; the ground is black


@pytest.fixture
def batch():
    """Eight pictures of three objects that do not touch; their rows are 0, 1 and 3, as if one had been dropped."""
    rng = np.random.default_rng(0)
    image, instances = np.zeros((COUNT, *SIZE, 3), "uint8"), np.zeros((COUNT, *SIZE), "int32")
    boxes, classes = np.zeros((COUNT, ROWS, 4), "float32"), np.full((COUNT, ROWS), -1, "int32")
    for k in range(COUNT):
        for kind, row in enumerate((0, 1, 3)):
            top, left = rng.integers(4, 40), 4 + 42 * kind + rng.integers(0, 6)
            here = slice(top, top + 40), slice(left, left + 30)
            image[k][here], instances[k][here] = BRIGHT[kind], row + 1
            boxes[k, row], classes[k, row] = (top, left, top + 40, left + 30), kind
    return {"image": image, "boxes": boxes, "classes": classes, "instances": instances}


def run(ops, batch):
    new = augment.build(ops, classes=3)(batch, (3, 14))
    contract.check(new)
    return {key: np.asarray(value) for key, value in new.items()}


def middle(marked):
    """Whether a pixel has four marked neighbours, bool (H, W): its colour is not that of an edge."""
    inner = np.zeros_like(marked)
    inner[1:-1, 1:-1] = marked[1:-1, 1:-1] & marked[:-2, 1:-1] & marked[2:, 1:-1] & marked[1:-1, :-2] & marked[1:-1, 2:]
    return inner


@pytest.mark.parametrize(
    "ops", ["flip", "rotate(20)|zoom(.3)|elastic", "erase(.5)", "mosaic(1)", "copy_paste(1)|cutmix(1)|mosaic(1)"]
)
def test_a_number_is_the_row_of_a_box_of_the_pixels_class(ops, batch):
    new = run(ops, batch)
    assert new["instances"].max() <= new["classes"].shape[1]
    compared = 0
    for image, boxes, classes, instances in zip(*(new[key] for key in batch), strict=True):
        for row in np.flatnonzero(classes >= 0):
            seen = middle(instances == row + 1)
            if seen.sum() < 30:
                continue
            compared += 1
            assert abs(float(np.median(image[seen])) - BRIGHT[classes[row]]) < 20
            rows, columns = np.nonzero(instances == row + 1)
            around = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
            inward = np.concatenate([around[:2] - boxes[row, :2], boxes[row, 2:] - around[2:]])
            assert inward.min() > -1.6  # no pixel of it lies outside of its box
            if ops == "flip" or ops.startswith("mosaic"):
                assert np.abs(inward).max() <= 1.5
    assert compared >= 12


def test_where_a_picture_ends_there_is_no_object(batch):
    new = run("shift(.5)", batch)
    outside = (new["image"] == 128).all(axis=-1)
    assert outside.mean() > 0.1
    assert (new["instances"][outside] == 0).all()


def test_objects_are_pasted_from_the_picture_before(batch):
    new = run("copy_paste(1)", batch)
    before = np.roll(batch["instances"], 1, axis=0)
    expected = np.where(before > 0, before + ROWS, batch["instances"])
    np.testing.assert_array_equal(new["instances"], expected)


def test_what_a_policy_needs_of_them(batch):
    with pytest.raises(InputError, match=r"augment: instances must be as large as image, received \(8, 48, 128\)"):
        run("flip", {**batch, "instances": batch["instances"][:, ::2]})
    del batch["boxes"], batch["classes"]
    with pytest.raises(InputError, match="augment: the batch has no 'boxes'. Keys present: image, instances."):
        run("flip", batch)
