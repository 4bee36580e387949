"""Tables of tones beside Pillow, exact; and their algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tfmap.augment import tones

SIZE = (50, 70)
quick = settings(max_examples=25, deadline=None)
bits = st.integers(1, 8).map(float)
thresholds = st.floats(0, 256, width=32)
pictures = st.integers(0, 2**32 - 1).map(lambda seed: noisy(np.random.default_rng(seed)))
steps = st.lists(st.sampled_from([*((name, 3.0) for name in tones.TONES), ("solarise", 90.0)]), min_size=1, max_size=4)


def noisy(random):
    """uint8 (9, 11, 3): a random picture with a few of the 256 values."""
    values = random.integers(0, 256, random.integers(1, 12))
    return random.choice(values, (9, 11, 3)).astype("uint8")


def one(value):
    return np.array([value], "float32")


def planes(image):
    return np.moveaxis(np.asarray(image, "float32"), -1, 0)[None]


def composed(image, names_and_strengths):
    """The table of several ops on a picture, int32 (1, 3, 256)."""
    counts = tones.histogram(planes(image), None)
    table = tones.identity(1, 3)
    for name, strength in names_and_strengths:
        table = tones.TONES[name](table, counts, one(strength))
    return table


def show(image, table):
    return np.moveaxis(np.asarray(tones.look_up(planes(image), table))[0], 0, -1)


def pillows(name, strength):
    return {
        "posterise": lambda image: ImageOps.posterize(image, int(strength)),
        "solarise": lambda image: ImageOps.solarize(image, strength),
        "invert": ImageOps.invert,
        "autocontrast": ImageOps.autocontrast,
        "equalise": ImageOps.equalize,
    }[name]


@pytest.mark.parametrize(
    ("name", "strength"),
    [*(("posterise", k) for k in (1, 4, 8)), *(("solarise", k) for k in (0, 100, 256)), ("invert", 0)]
    + [("autocontrast", 0), ("equalise", 0)],
)
def test_a_tone_of_a_photograph_is_pillows_to_the_letter(name, strength, photo):
    picture = Image.fromarray(photo).resize(SIZE[::-1])
    pillow = np.asarray(pillows(name, strength)(picture))
    np.testing.assert_array_equal(show(picture, composed(picture, [(name, strength)])), pillow)


def stretched(image):
    """Autocontrast in whole numbers: Pillow multiplies by a rounded factor and lands just below some of them."""
    values = np.asarray(image, int)
    low, high = values.min(axis=(0, 1)), values.max(axis=(0, 1))
    wide = np.where(high > low, (values - low) * 255 // np.maximum(high - low, 1), values)
    return Image.fromarray(wide.astype("uint8"))


@quick
@given(pictures)
def test_autocontrast_is_pillows_but_for_its_rounding(image):
    ours = show(image, composed(image, [("autocontrast", 0)]))
    assert np.abs(ours - np.asarray(ImageOps.autocontrast(Image.fromarray(image)), "float32")).max() <= 1


@quick
@given(pictures, steps)
def test_composed_tables_are_the_ops_one_after_the_other(image, wanted):
    expected = Image.fromarray(image)
    for name, strength in wanted:
        expected = stretched(expected) if name == "autocontrast" else pillows(name, strength)(expected)
    np.testing.assert_array_equal(show(image, composed(image, wanted)), expected)


@quick
@given(bits, thresholds)
def test_posterise_is_idempotent_and_solarise_and_invert_keep_their_pairs(kept, threshold):
    table, counts = tones.identity(1, 3), None
    once = tones.posterise(table, counts, one(kept))
    np.testing.assert_array_equal(tones.posterise(once, counts, one(kept)), once)
    np.testing.assert_array_equal(tones.invert(tones.invert(table, counts, None), counts, None), table)
    solarised = np.asarray(tones.solarise(table, counts, one(threshold)))
    np.testing.assert_array_equal(solarised, np.where(np.arange(256) >= threshold, 255 - np.arange(256), table))


@quick
@given(pictures, steps)
def test_the_histogram_moved_through_a_table_is_that_of_the_moved_picture(image, wanted):
    table = np.asarray(composed(image, wanted))
    counts = np.asarray(tones.histogram(planes(image), None))
    moved = np.stack([np.bincount(table[0, c], counts[0, c], 256) for c in range(3)])
    np.testing.assert_array_equal(np.asarray(tones.histogram(planes(show(image, table)), None))[0], moved)


def test_only_the_pictures_that_need_it_are_counted(photos):
    images = np.moveaxis(photos[0][:4].astype("float32"), -1, 1)
    needed = np.array([True, False, True, False])
    counts = np.asarray(tones.histogram(images, needed))
    assert not counts[~needed].any()
    np.testing.assert_array_equal(counts[needed].sum(axis=-1), 48 * 48)
    np.testing.assert_array_equal(counts[2, 1], np.bincount(images[2, 1].astype(int).ravel(), minlength=256))
