"""Masks of boxes, pixel by pixel, and COCO's numbers of them on cases that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from tests.test_average_precision import there
from tfmap import instances
from tfmap.average_precision import Found
from tfmap.instances import Truths
from tfmap.source import MOST, Boxes

SIZE = (40, 60)
NAMES = ("cat", "dog")


def rectangle(box, size=SIZE):
    mask = np.zeros(size, bool)
    mask[box[0] : box[2], box[1] : box[3]] = True
    return mask


def runs(*masks):
    made = np.empty(len(masks), object)
    made[:] = [coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]
    return made


def said(*rows):
    """(box, score, class, pixels) each."""
    boxes, scores, classes, masks = zip(*rows, strict=True)
    return Found(np.float32(boxes), np.float32(scores), np.int32(classes), runs(*masks))


@given(
    st.tuples(*(st.floats(-20, 70) for _ in range(2)), *(st.floats(0.5, 60) for _ in range(2))), st.integers(0, 2**16)
)
def test_a_pixel_is_what_lies_at_its_centre(place, seed):
    shares = np.random.default_rng(seed).uniform(0, 1, (7, 7)).astype(np.float32)
    top, left, height, width = place
    box = np.float32([top, left, top + height, left + width])
    mask = instances.pasted(shares, box, SIZE)
    for y, x in np.random.default_rng(seed + 1).integers(0, SIZE, (40, 2)):
        down, across = (y + 0.5 - box[0]) / (box[2] - box[0]) * 7, (x + 0.5 - box[1]) / (box[3] - box[1]) * 7
        if not (1e-3 < down < 7 - 1e-3 and 1e-3 < across < 7 - 1e-3):
            if min(down, across) < -1e-3 or max(down, across) > 7 + 1e-3:
                assert not mask[y, x]
            continue
        down, across = np.clip(down - 0.5, 0, 6), np.clip(across - 0.5, 0, 6)
        i, j = min(int(down), 5), min(int(across), 5)
        upper, lower = ((1 - across + j) * shares[r, j] + (across - j) * shares[r, j + 1] for r in (i, i + 1))
        value = (1 - down + i) * upper + (down - i) * lower
        if abs(value - instances.SURE) > 1e-3:
            assert mask[y, x] == (value > instances.SURE)


def test_a_full_mask_is_its_box():
    box = np.float32([5, 10, 25, 40])
    np.testing.assert_array_equal(
        instances.pasted(np.ones((28, 28), np.float32), box, SIZE), rectangle((5, 10, 25, 40))
    )
    found = Found(box[None], np.float32([0.9]), np.int32([0]), np.ones((1, 28, 28), np.float32))
    outlined = instances.outlined(found, SIZE)
    assert instances.pixels(outlined).tolist() == [600]
    np.testing.assert_array_equal(instances.numbered(outlined, SIZE), rectangle((5, 10, 25, 40)))


def test_the_best_lies_on_top():
    left, right = rectangle((0, 0, 20, 30)), rectangle((10, 20, 30, 50))
    found = said(((0, 0, 20, 30), 0.9, 0, left), ((10, 20, 30, 50), 0.8, 1, right))
    np.testing.assert_array_equal(instances.numbered(found, SIZE), np.where(left, 1, np.where(right, 2, 0)))


A, B = (0, 0, 20, 20), (10, 30, 30, 50)


def two():
    """A picture of a cat and a dog, and one of nothing."""
    masks = [rectangle(A) + 2 * rectangle(B).astype(np.uint8), np.zeros(SIZE, np.uint8)]
    return Truths(there([(A, 0), (B, 1)], []), masks)


def test_truths_as_a_model_would_say_them_are_perfect():
    truths = two()
    numbers = instances.score([truths.of(0), truths.of(1)], truths, NAMES)
    for name in ("mAP", "mAP50", "mAP75", "mAP_small", "recall", "box_mAP", "box_mAP50"):
        assert numbers[name] == pytest.approx(1), name


def test_pixels_are_compared_and_not_boxes():
    """The same box, but 300 of 400 pixels: IoU 0.75, right at 0.5 to 0.75, six of ten."""
    part = rectangle(A)
    part[:10, :10] = False
    numbers = instances.score([said((A, 0.9, 0, part)), said((B, 0.1, 0, rectangle(B)))], two(), NAMES)
    cat, dog = numbers["per_class"]
    assert (cat["mAP"], cat["mAP50"]) == pytest.approx((0.6, 1))
    assert (dog["mAP"], dog["boxes"]) == (0, 1)
    assert numbers["box_mAP50"] == pytest.approx(0.5)
    assert numbers["box_mAP"] == pytest.approx(0.5)


def test_what_has_no_pixel_of_its_own_does_not_count():
    hidden = Truths(there([(A, 0), (A, 1)]), [rectangle(A).astype(np.uint8)])
    numbers = instances.score([said((A, 0.9, 0, rectangle(A)))], hidden, NAMES)
    assert [row["boxes"] for row in numbers["per_class"]] == [1, 0]
    assert numbers["mAP"] == pytest.approx(1)


def test_a_crowd_forgives():
    truths = Truths(there([(A, 0), (B, 0)], crowd=(1,)), [rectangle(A) + 2 * rectangle(B).astype(np.uint8)])
    inside = rectangle((12, 32, 20, 40))
    found = said((A, 0.8, 0, rectangle(A)), ((12, 32, 20, 40), 0.9, 0, inside))
    assert instances.score([found], truths, NAMES)["mAP"] == pytest.approx(1)


def test_nothing_found_is_zero():
    nothing = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), runs())
    assert instances.score([nothing, nothing], two(), NAMES)["mAP"] == 0


def test_beyond_the_last_number_objects_have_no_pixels():
    many = MOST + 5
    marks = np.zeros(many, bool)
    boxes = Boxes(np.array([0, many]), np.tile(np.float32(A), (many, 1)), np.zeros(many, np.int32), marks, marks)
    found = Truths(boxes, [np.full(SIZE, MOST, np.uint8)]).of(0)
    assert instances.pixels(found).nonzero()[0].tolist() == [MOST - 1]
