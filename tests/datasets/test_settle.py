"""Boxes and masks against real picture files: sizes, EXIF turns, what lies outside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tfmap.datasets import load, settle
from tfmap.datasets.coco import read as read_coco
from tfmap.datasets.listing import Listing, objects
from tfmap.datasets.polygons import upright
from tfmap.datasets.scan import Verdict, scan
from tfmap.pixels import read
from tfmap.source import Boxes

H, W = 40, 60  # of the picture as it stands upright
SPOT = (5, 10, 15, 30)  # y0, x0, y1, x1 of a red spot in it
# what a camera does to a scene before it writes this orientation
STORED = {
    1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270",
}  # fmt: skip


def scene(seed=0):
    """An upright picture with a red spot on blue noise."""
    pixels = np.zeros((H, W, 3), np.uint8)
    pixels[..., 2] = np.random.default_rng(seed).integers(100, 255, (H, W))
    pixels[SPOT[0] : SPOT[2], SPOT[1] : SPOT[3]] = (255, 0, 0)
    return Image.fromarray(pixels)


def stored(image, orientation):
    way = STORED[orientation]
    return image.transpose(getattr(Image.Transpose, way)) if way else image


def save(folder, orientation):
    """Four pictures of one orientation; where the spot is in the file, as (y0, x0, y1, x1)."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for index in range(4):
        stored(scene(index), orientation).save(folder / f"{index}.png", exif=exif)
    mask = np.zeros((H, W), np.uint8)
    mask[SPOT[0] : SPOT[2], SPOT[1] : SPOT[3]] = 1
    rows, columns = np.nonzero(np.asarray(stored(Image.fromarray(mask), orientation)))
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def coco(folder, size, box, **more):
    """One object in each of four pictures."""
    y0, x0, y1, x1 = map(int, box)
    images = [{"id": i, "file_name": f"{i}.png", "height": size[0], "width": size[1]} for i in range(4)]
    corners = [[x0, y0, x1, y0, x1, y1, x0, y1]]
    note = {"category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": corners, **more}
    notes = [{"id": i, "image_id": i, **note} for i in range(4)]
    content = {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "spot"}]}
    (folder / "a.json").write_text(json.dumps(content))
    return str(folder / "a.json")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_the_upright_picture_stay(tmp_path, orientation):
    save(tmp_path, orientation)
    split = load(coco(tmp_path, (H, W), SPOT), val_fraction=0).split("train")
    np.testing.assert_array_equal(split.boxes.boxes, [SPOT] * 4)
    y0, x0, y1, x1 = SPOT
    assert read(split.images[0])[y0:y1, x0:x1, 0].min() == 255


@pytest.mark.parametrize("orientation", range(5, 9))
def test_boxes_of_the_stored_picture_are_turned_with_it(tmp_path, orientation):
    source = load(coco(tmp_path, (W, H), save(tmp_path, orientation)), val_fraction=0)
    np.testing.assert_array_equal(source.split("train").boxes.boxes, [SPOT] * 4)
    assert source.findings == {}


@pytest.mark.parametrize("orientation", range(5, 9))
def test_outlines_of_the_stored_picture_are_turned_with_it(tmp_path, orientation):
    source = load(coco(tmp_path, (W, H), save(tmp_path, orientation)), target="mask", val_fraction=0)
    want = np.zeros((H, W), np.uint8)
    want[SPOT[0] : SPOT[2], SPOT[1] : SPOT[3]] = 1
    np.testing.assert_array_equal(source.split("train").masks.read(0), want)


@pytest.mark.parametrize("orientation", range(5, 9))
def test_mask_files_of_the_stored_picture_are_turned_with_it(tmp_path, orientation):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    y0, x0, y1, x1 = save(tmp_path / "images", orientation)
    mask = np.zeros((W, H), np.uint8)
    mask[y0:y1, x0:x1] = 255
    for index in range(4):
        Image.fromarray(mask).save(tmp_path / "masks" / f"{index}.png")
    want = np.zeros((H, W), np.uint8)
    want[SPOT[0] : SPOT[2], SPOT[1] : SPOT[3]] = 1
    np.testing.assert_array_equal(load(str(tmp_path), val_fraction=0).split("train").masks.read(0), want)


@given(
    st.integers(5, 8), st.tuples(st.integers(0, 8), st.integers(0, 5)), st.tuples(st.integers(1, 4), st.integers(1, 3))
)
def test_boxes_turn_as_pixels_do(orientation, corner, sides):
    mask = np.zeros((12, 8), np.uint8)
    (y, x), (height, width) = corner, sides
    mask[y : y + height, x : x + width] = 1
    turned = upright(mask, orientation)
    box = np.array([[y, x, y + height, x + width]], np.float64)
    limits = np.array([[8, 12, 8, 12]], np.float64)
    top, left, bottom, right = settle._turned(box, limits, np.array([orientation]))[0].astype(int)
    assert turned.shape == (8, 12)
    assert turned[top:bottom, left:right].all()
    assert turned.sum() == (bottom - top) * (right - left)


def test_records_were_settled_when_they_were_prepared():
    table = Boxes(
        np.array([0, 1]), np.array([[1, 2, 3, 4]], np.float32), np.zeros(1, np.int32), *np.zeros((2, 1), bool)
    )
    names = objects(["a"])
    listing = Listing("record", names, np.ones((1, 1), np.float32), names, names, ("x",), boxes=table)
    same, unfit, found = settle.settle(listing, [Verdict("d", "")], "x")
    assert same is listing
    assert not unfit
    assert not found


def test_boxes_in_pixels_before_any_is_left_out(tmp_path):
    save(tmp_path, 6)
    listing = read_coco(Path(coco(tmp_path, (W, H), (0, 0, 90, -5))))
    verdicts = scan(listing, "x")
    np.testing.assert_array_equal(settle.in_pixels(listing, verdicts), [[0, -30, -5, 60]] * 4)


def test_an_annotation_of_another_size_is_listed(tmp_path):
    save(tmp_path, 1)
    source = load(coco(tmp_path, (80, 120), SPOT), val_fraction=0)
    (first, *_) = source.findings["annotation of another size than its picture"]
    assert first == f"{tmp_path}/0.png: 60 x 40 pixels, annotated as 120 x 80"
    np.testing.assert_array_equal(source.split("train").boxes.boxes, [SPOT] * 4)


def test_outlines_of_another_size_leave_the_picture_out(tmp_path):
    save(tmp_path, 1)
    path = coco(tmp_path, (H, W), SPOT)
    content = json.loads((tmp_path / "a.json").read_text())
    content["images"][2]["height"] = 41
    (tmp_path / "a.json").write_text(json.dumps(content))
    source = load(path, target="mask", val_fraction=0)
    (skipped,) = source.skipped
    assert skipped.path == f"{tmp_path}/2.png"
    assert skipped.reason == "its outlines belong to a picture of another size"
    assert source.findings["unusable mask"] == (f"{tmp_path}/2.png: {skipped.reason}",)


@pytest.mark.parametrize(
    ("box", "kept", "kind", "line"),
    [
        ((-5, 10, 15, 70), (0, 10, 15, 60), "box partly outside the picture, clipped", "x 10 to 70, y -5 to 15"),
        ((5, 10, 15, 10), None, "bad annotation", "has no area: x 10 to 10, y 5 to 15"),
        ((15, 10, 5, 20), None, "bad annotation", "has no area"),
        ((50, 10, 60, 20), None, "bad annotation", "lies outside the picture: x 10 to 20, y 50 to 60"),
        ((-9, -9, -1, -1), None, "bad annotation", "lies outside the picture"),
    ],
)
def test_boxes_that_do_not_fit(tmp_path, box, kept, kind, line):
    save(tmp_path, 1)
    source = load(coco(tmp_path, (H, W), box), val_fraction=0)
    split = source.split("train")
    assert len(split) == 4  # pictures without an object stay
    np.testing.assert_array_equal(split.boxes.boxes, [kept] * 4 if kept else np.zeros((0, 4)))
    assert len(source.findings[kind]) == 4
    assert source.findings[kind][0].startswith(f"{tmp_path}/0.png: box 1 (spot)")
    assert line in source.findings[kind][0]


@pytest.mark.parametrize("bbox", [[1, 2, float("nan"), 4], ["x", 2, 3, 4], [1, 2, 3], None, "1234", [1e400, 1, 1, 1]])
def test_coordinates_that_are_no_numbers(tmp_path, bbox):
    save(tmp_path, 1)
    source = load(coco(tmp_path, (H, W), SPOT, bbox=bbox), val_fraction=0)
    assert "box 1 (spot) has coordinates that are no numbers: x" in source.findings["bad annotation"][0]


def test_a_class_that_is_not_there(tmp_path):
    save(tmp_path, 1)
    source = load(coco(tmp_path, (H, W), SPOT, category_id=9), val_fraction=0)
    assert "box 1 (class -1) is of no known class: x 10 to 30" in source.findings["bad annotation"][0]
    assert source.findings["class without pictures"] == ("spot",)


def test_equal_pictures_with_other_boxes_are_a_conflict(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes())
    (tmp_path / "3.png").write_bytes((tmp_path / "2.png").read_bytes())
    path = coco(tmp_path, (H, W), SPOT)
    content = json.loads((tmp_path / "a.json").read_text())
    content["annotations"][1]["bbox"] = [0, 0, 5, 5]
    (tmp_path / "a.json").write_text(json.dumps(content))
    source = load(path, val_fraction=0)
    assert [name.split("/")[-1] for name in source.split("train").ids] == ["2.png"]
    assert source.findings["same picture under two labels"] == (f"{tmp_path}/0.png = {tmp_path}/1.png",)
    assert source.findings["exact duplicates"] == (f"{tmp_path}/2.png = {tmp_path}/3.png",)
