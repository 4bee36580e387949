"""Contact sheets: what is drawn where."""

from __future__ import annotations

import numpy as np
import pytest

from tfmap import sheets
from tfmap.sheets import COLOURS, Picture

NAMES = ("cell", "platelet")


def rgb(colour):
    return tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))


def picture(**extra):
    return Picture(np.full((40, 80, 3), 90, "uint8"), **extra)


def drawn(**extra):
    return np.asarray(sheets.draw(picture(**extra), side=160))


def test_a_picture_keeps_its_shape_and_its_pixels():
    shown = drawn()
    assert shown.shape == (80, 160, 3)
    assert (shown == 90).all()
    tall = sheets.draw(Picture(np.zeros((300, 100, 1), "float32")), side=150)
    assert tall.size == (50, 150)
    assert tall.mode == "RGB"


def test_boxes_are_frames_in_the_colour_of_their_class_and_padding_is_not_drawn():
    boxes = np.array([[10, 20, 30, 60], [0, 0, 0, 0]], "float32")
    shown = drawn(boxes=boxes, classes=np.array([1, -1], "int32"))
    marked = (shown != 90).any(axis=-1)
    rows, columns = np.nonzero(marked)
    assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == (20, 40, 60, 120)
    assert {tuple(pixel) for pixel in shown[marked]} == {rgb(COLOURS[1])}
    assert not marked[30:50, 50:110].any()


def test_a_box_carries_the_name_of_its_class():
    boxes, classes = np.array([[5, 5, 35, 75]], "float32"), np.array([0], "int32")
    plain, named = (
        np.asarray(sheets.draw(picture(boxes=boxes, classes=classes), names, side=160)) for names in ((), NAMES)
    )
    assert (plain != named).any(axis=-1).sum() > 50
    assert (named > 200).all(axis=-1).any()  # its letters


def test_masks_tint_objects_leave_the_ground_and_stripe_what_is_ignored():
    mask = np.zeros((40, 80), "int32")
    mask[:, 20:40], mask[:, 40:60] = 1, 255
    shown = drawn(mask=mask)
    assert (shown[:, :40] == 90).all()
    expected = (90 + np.array(rgb(COLOURS[1]))) // 2
    assert np.abs(shown[:, 42:78].astype(int) - expected).max() <= 1
    stripes = (shown[:, 80:120] == 255).all(axis=-1)
    assert 0.2 < stripes.mean() < 0.5
    assert (shown[:, 120:] == 90).all()


def test_points_are_dots_and_absent_ones_are_not_drawn():
    shown = drawn(points=np.array([[20, 40, 1], [0, 0, 0]], "float32"))
    marked = (shown != 90).any(axis=-1)
    rows, columns = np.nonzero(marked)
    assert abs(rows.mean() - 40) < 1
    assert abs(columns.mean() - 80) < 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int32(1), "platelet"),
        (np.array([0.3, 0.7]), "platelet 0.70 + cell 0.30"),
        (np.array([1.0, 0.001]), "cell"),
        (np.array([1.0, 1.0]), "cell + platelet"),
        (np.zeros(2), "none"),
    ],
)
def test_labels_as_text(value, text):
    assert sheets.label(value, NAMES) == text


def test_a_sheet_has_a_place_for_every_picture_and_its_text():
    rows = [[picture(text="a"), picture(text="b " * 60)], [picture()]]
    page = sheets.sheet(rows, title="what is shown " * 20, side=160)
    pixels = np.asarray(page)
    assert page.width == 2 * 168 + 8
    grey = (pixels == 90).all(axis=-1)
    assert grey.sum() == 3 * 80 * 160
    dark = (pixels < 60).all(axis=-1)
    assert dark[: np.flatnonzero(grey.any(axis=1))[0]].any()  # the title
    assert dark[:, 176:336].sum() > dark[:, 8:168].sum()  # the longer text
