"""Boxes and masks follow the pixels, whatever the sizes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.pipeline import fit

SIDES = st.integers(8, 90)


def example(height, width, box):
    """A black picture with one white rectangle, its box and its mask."""
    y, x, bottom, right = box
    mask = np.zeros((height, width), np.uint8)
    mask[y:bottom, x:right] = 1
    image = np.repeat(mask[..., None] * np.uint8(255), 3, 2)
    return {"image": tf.constant(image), "boxes": tf.constant([box], tf.float32), "mask": tf.constant(mask)}


@st.composite
def examples(draw):
    height, width = draw(SIDES), draw(SIDES)
    y, x = draw(st.integers(0, height - 4)), draw(st.integers(0, width - 4))
    return example(height, width, (y, x, draw(st.integers(y + 4, height)), draw(st.integers(x + 4, width))))


def extent(pixels):
    """The borders of what is set: y, x, bottom, right."""
    rows, columns = (np.flatnonzero(pixels.any(axis)) for axis in (1, 0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


@pytest.mark.parametrize("way", [fit.stretch, fit.letterbox])
@settings(max_examples=40, deadline=None)
@given(examples(), SIDES, SIDES)
def test_box_and_mask_follow_the_pixels(way, example, height, width):
    made = way(example, (height, width))
    assert made["image"].shape == (height, width, 3)
    assert made["mask"].shape == (height, width)
    box = made["boxes"].numpy()[0]
    assert (box >= -1e-3).all()
    assert (box <= np.array([height, width, height, width]) + 1e-3).all()
    inside = made["mask"].numpy() == 1
    if (box[2:] - box[:2] >= 1).all():  # thinner ones may fall between two pixels
        assert np.abs(extent(inside) - box).max() <= 1
    grown = tf.nn.max_pool2d(inside[None, ..., None].astype("float32"), 3, 1, "SAME")[0, ..., 0]
    white = made["image"].numpy()[..., 0] > 140
    if way is fit.stretch:
        assert not (white & (grown.numpy() == 0)).any()


@pytest.mark.parametrize(("size", "inner"), [((60, 60), (15, 0, 45, 60)), ((20, 80), (0, 20, 20, 60))])
def test_letterbox_keeps_the_shape_and_fills_with_grey(size, inner):
    made = fit.letterbox(example(40, 80, (0, 0, 40, 80)), size)
    y, x, bottom, right = inner
    image, mask = made["image"].numpy(), made["mask"].numpy()
    assert (image[y:bottom, x:right] == 255).all()
    assert (mask[y:bottom, x:right] == 1).all()
    image[y:bottom, x:right], mask[y:bottom, x:right] = fit.GREY, fit.AROUND["mask"]
    assert (image == fit.GREY).all()
    assert (mask == fit.AROUND["mask"]).all()
    np.testing.assert_allclose(made["boxes"], [inner])


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 9))
def test_resizing_from_float_is_resizing_from_bytes(height, width, to_height, to_width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    expected = tf.cast(tf.round(tf.image.resize(image, (to_height, to_width))), tf.uint8)
    made = fit.stretch({"image": tf.constant(image)}, (to_height, to_width))
    np.testing.assert_array_equal(made["image"], expected)


def test_a_finer_mask_covers_the_same_part():
    photo = example(40, 60, (10, 20, 30, 50))
    mask = tf.repeat(tf.repeat(photo["mask"], 2, 0), 2, 1)
    made = fit.stretch({**photo, "mask": mask}, (40, 60))
    np.testing.assert_array_equal(made["mask"], photo["mask"])
