from __future__ import annotations

import numpy as np
import pytest

from tfmap.datasets.listing import objects
from tfmap.doctor import findings, masks
from tfmap.source import Masks


def take(item):
    if isinstance(item, str):
        raise ValueError(item)
    return item


@pytest.fixture
def examine(listed, glass, photograph):
    def examine(*items):
        values = np.ones((len(items), 3), np.float32)
        seen = listed(glass[: len(items)], labels=values, masks=Masks(objects(list(items)), take))
        return [case for case in masks.check(seen) if case.kind is not findings.NO_PICTURES]

    return examine


@pytest.fixture
def mask(photograph):
    """A good mask for photograph 0: classes 0, 1, 2 and ignored pixels."""
    mask = np.zeros((photograph.height, photograph.width), np.uint8)
    mask[:20], mask[20:40], mask[40:50] = 1, 2, 255
    return mask


def test_a_good_mask(examine, mask):
    assert examine(mask) == []


def test_values_that_are_no_class(examine, mask):
    mask[60:], mask[50:60] = 7, 128
    (case,) = examine(mask)
    assert case.kind is findings.UNKNOWN_VALUE
    assert case.text == "picture 0: values 7, 128; known are 0 to 2, and 255 for ignored"
    assert case.quarantine == ()


def test_another_size_goes_to_quarantine(examine, mask):
    (case,) = examine(mask[:-10])
    assert case.kind is findings.OTHER_SIZE
    assert case.quarantine == ("picture 0",)
    height, width = mask.shape
    assert case.text.endswith(f"{width} x {height - 10} pixels on a picture of {width} x {height}")


@pytest.mark.parametrize(("value", "text"), [(0, "nothing but class 0"), (255, "only ignored pixels")])
def test_masks_without_a_class(examine, mask, value, text):
    (case,) = examine(np.full_like(mask, value))
    assert case.kind is findings.EMPTY_MASK
    assert case.text == f"picture 0: {text}"


def test_a_mask_that_cannot_be_read(examine, mask):
    (case,) = examine("cut short")
    assert case.kind is findings.NO_MASK
    assert case.text == "picture 0: cut short"
    assert case.quarantine == ("picture 0",)


def test_classes_that_no_mask_has(listed, glass, mask):
    mask[mask == 2] = 0
    seen = listed(glass[:1], labels=np.ones((1, 3), np.float32), masks=Masks(objects([mask]), take))
    (case,) = masks.check(seen)
    assert (case.kind, case.text) == (findings.NO_PICTURES, "class 'c' has no pixel in any mask")


def test_without_masks_there_is_nothing_to_find(listed, glass):
    assert list(masks.check(listed(glass[:1]))) == []
