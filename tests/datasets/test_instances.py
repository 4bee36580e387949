"""Objects with their pixels: the number of a pixel is the row of its box, whatever is left out on the way."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.datasets import formats
from tests.datasets.test_settle import SPOT, H, W, coco, save
from tfmap import doctor, pipeline
from tfmap.datasets import load
from tfmap.errors import InputError
from tfmap.pipeline import fit
from tfmap.prepare import prepare
from tfmap.source import MOST, Boxes, Masks


def check(split):
    """Each object is the rectangle of its box, but for what smaller ones hide."""
    compared = 0
    for row in range(len(split)):
        mask, boxes = split.masks.read(row), split.boxes.boxes[split.boxes.rows(row)]
        assert mask.max() <= len(boxes)
        for number, box in enumerate(boxes, 1):
            rows, columns = np.nonzero(mask == number)
            if len(rows):
                compared += 1
                around = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
                assert (np.array(around[:2]) >= box[:2] - 1).all()
                assert (np.array(around[2:]) <= box[2:] + 1).all()
                assert len(rows) <= np.prod(np.ceil(box[2:] - box[:2]) + 1)
    return compared


@pytest.mark.parametrize("format", ["coco", "coco_roboflow", "yolo_outlines"])
def test_numbers_are_the_rows_of_boxes(tmp_path, format):
    source = load(str(formats.FORMATS[format](tmp_path / "cells")), target="instances")
    assert (source.target, source.classes) == ("instances", formats.CLASSES)
    boxes = load(str(tmp_path / "cells"), target="boxes")
    for name, split in source.splits.items():
        np.testing.assert_allclose(split.boxes.boxes, boxes.split(name).boxes.boxes, atol=0.02)
        np.testing.assert_array_equal(split.labels, boxes.split(name).labels)
        assert check(split) > 5


@pytest.mark.parametrize("format", ["voc", "csv"])
def test_formats_without_outlines_have_none(tmp_path, format):
    source = str(formats.FORMATS[format](tmp_path / "cells"))
    text = f"datasets.target is instances, but .*, read as {format}, only has"
    with pytest.raises(InputError, match=text):
        load(source, target="instances")


def test_boxes_without_outlines_are_no_instances(tmp_path):
    folder = str(formats.yolo(tmp_path / "cells"))
    with pytest.raises(InputError, match="has no outlines of objects, so datasets.target cannot be instances"):
        load(folder, target="instances")


def test_an_object_that_is_left_out_takes_its_pixels_along(tmp_path):
    """The first of three has no area as a box, the second no outline, and the fourth is of no known class."""
    save(tmp_path, 1)
    path = coco(tmp_path, (H, W), SPOT)
    content = json.loads((tmp_path / "a.json").read_text())
    y0, x0, y1, x1 = SPOT
    good = content["annotations"][0]
    spoilt = [{**good, "bbox": [x0, y0, 0, 5]}, {**good, "segmentation": []}, good, {**good, "category_id": 7}]
    content["annotations"] = [
        {**note, "id": 4 * image + i, "image_id": image} for image in range(4) for i, note in enumerate(spoilt)
    ]
    (tmp_path / "a.json").write_text(json.dumps(content))
    source = load(path, target="instances", val_fraction=0)
    split = source.split("train")
    np.testing.assert_array_equal(split.boxes.boxes, [SPOT] * 4)
    for row in range(4):
        want = np.zeros((H, W), np.uint8)
        want[y0:y1, x0:x1] = 1
        np.testing.assert_array_equal(split.masks.read(row), want)
    assert len(source.findings["bad annotation"]) == 12


@pytest.mark.parametrize("orientation", range(5, 9))
def test_outlines_of_the_stored_picture_are_turned_with_it(tmp_path, orientation):
    path = coco(tmp_path, (W, H), save(tmp_path, orientation))
    split = load(path, target="instances", val_fraction=0).split("train")
    np.testing.assert_array_equal(split.boxes.boxes, [SPOT] * 4)
    assert check(split) == 4


def test_outlines_of_another_size_cost_their_picture_and_the_doctor_says_so(tmp_path):
    save(tmp_path, 1)
    path = coco(tmp_path, (H, W), SPOT)
    content = json.loads((tmp_path / "a.json").read_text())
    content["images"][2]["height"] += 5
    (tmp_path / "a.json").write_text(json.dumps(content))
    source = load(path, target="instances", val_fraction=0)
    (skipped,) = source.skipped
    assert skipped.reason == "its outlines belong to a picture of another size"
    found = doctor.examine(path, datasets={"target": "instances"}).cases
    assert any("its outlines belong to a picture of another size" in one.text for one in found)


def test_prepared_they_are_the_same(tmp_path):
    source = load(str(formats.coco(tmp_path / "cells")), target="instances")
    prepare(source, tmp_path / "out", workers=1)
    again = load(str(tmp_path / "out"))
    assert again.target == "instances"
    for name, split in source.splits.items():
        other = again.split(name)
        order = [list(other.ids).index(next(i for i in other.ids if str(one).endswith(str(i)))) for one in split.ids]
        for row, place in enumerate(order):
            np.testing.assert_array_equal(split.masks.read(row), other.masks.read(place))
            rows, places = split.boxes.rows(row), other.boxes.rows(place)
            np.testing.assert_array_equal(split.boxes.boxes[rows], other.boxes.boxes[places])


def read(split, **options):
    options = {"size": (H, W), "prepare": fit.stretch, "batch_size": 4, "cache": "none"} | options
    (made,) = pipeline.batches(split, **options)
    return {key: value.numpy() for key, value in made.items()}


@pytest.fixture
def many(tmp_path):
    """Four pictures of the same six objects in a row, the first a crowd; they grow to the right."""
    save(tmp_path, 1)
    split = load(coco(tmp_path, (H, W), SPOT), target="instances", val_fraction=0).split("train")
    mask = np.zeros((H, W), np.uint8)
    boxes = []
    for number in range(6):
        box = [2, 2 + 9 * number, 6 + number, 8 + 9 * number]
        mask[box[0] : box[2], box[1] : box[3]] = number + 1
        boxes.append(box)
    crowd = np.tile(np.arange(6) == 0, 4)
    table = Boxes(
        np.arange(0, 25, 6), np.float32(boxes * 4), np.tile(np.arange(6, dtype=np.int32), 4), crowd, ~crowd & False
    )
    items = np.empty(4, object)
    items[:] = [mask] * 4
    return replace(split, boxes=table, masks=Masks(items, np.asarray)), mask


def test_numbers_in_a_batch_are_those_of_its_rows(many):
    """Crowds have none."""
    split, mask = many
    made = read(split)
    np.testing.assert_array_equal(made["classes"], [[1, 2, 3, 4, 5]] * 4)
    np.testing.assert_array_equal(made["instances"], [np.maximum(mask.astype(int) - 1, 0)] * 4)


def test_of_objects_that_are_too_many_the_smallest_lose_their_pixels(many):
    split, mask = many
    made = read(split, max_boxes=2)
    np.testing.assert_array_equal(made["classes"], [[4, 5]] * 4)
    np.testing.assert_array_equal(made["instances"], [np.select([mask == 5, mask == 6], [1, 2])] * 4)


def test_a_crop_numbers_again(many):
    split, _ = many
    for epoch in range(2):
        made = read(split, training=True, epochs=1, epoch=epoch, crop=[0.2, 0.5])
        for boxes, classes, instances in zip(made["boxes"], made["classes"], made["instances"], strict=True):
            assert instances.max() <= (classes >= 0).sum()
            for number in set(np.unique(instances)) - {0}:
                rows, columns = np.nonzero(instances == number)
                top, left, bottom, right = boxes[number - 1]
                assert top - 1.5 <= rows.min()
                assert rows.max() + 1 <= bottom + 1.5
                assert left - 1.5 <= columns.min()
                assert columns.max() + 1 <= right + 1.5


def test_a_letterbox_has_no_objects_at_its_sides(many):
    split, mask = many
    made = read(split, size=(H, 2 * W), prepare=fit.letterbox)
    np.testing.assert_array_equal(made["instances"][0][:, : W // 2], 0)
    assert (made["instances"][0] > 0).sum() == (mask > 1).sum()


def test_objects_beyond_the_last_number_have_a_box_alone(many):
    split, _ = many
    number = MOST + 40
    boxes = Boxes(
        np.arange(0, 4 * number + 1, number),
        np.tile(np.float32(SPOT), (4 * number, 1)),
        np.zeros(4 * number, np.int32),
        *np.zeros((2, 4 * number), bool),
    )
    masks = np.empty(4, object)
    masks[:] = [np.full((H, W), MOST, np.uint8)] * 4
    made = read(replace(split, boxes=boxes, masks=Masks(masks, np.asarray)))
    assert (made["classes"] == 0).all()
    assert (made["instances"] == MOST).all()
