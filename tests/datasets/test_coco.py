from __future__ import annotations

import gc
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.datasets import formats
from tfmap.datasets import load
from tfmap.errors import InputError


@pytest.fixture
def cells(tmp_path):
    """Three pictures below images/, and cells.json beside it; `change` edits the file."""
    for _, stem, _ in formats.only("train"):
        formats.copy(stem, tmp_path / "images")
    file = tmp_path / "cells.json"
    file.write_text(json.dumps(formats.coco_content("train")))
    return file


def change(file, edit):
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))
    return load(str(file), val_fraction=0)


def test_a_file_or_its_folder(cells):
    for source in (cells, cells.parent):
        assert load(str(source)).classes == formats.CLASSES


@pytest.mark.parametrize("folder", ["train2017", "images/train", "train", "images/train2017"])
def test_where_pictures_lie(tmp_path, folder):
    for _, stem, _ in formats.only("train"):
        formats.copy(stem, tmp_path / folder)
    (tmp_path / "annotations").mkdir()
    file = tmp_path / "annotations" / "instances_train2017.json"
    file.write_text(json.dumps(formats.coco_content("train")))
    assert len(load(str(tmp_path))) == 3
    assert len(load(str(file))) == 3


def test_only_instances_are_read_where_there_are_such_files(tmp_path):
    folder = formats.coco(tmp_path / "coco")
    (folder / "annotations" / "captions_train2017.json").write_text('{"images": [], "annotations": [], "info": 1}')
    assert len(load(str(folder))) == 6


def test_crowds_keep_their_mark(cells):
    source = change(cells, lambda content: content["annotations"][0].update(iscrowd=1))
    assert source.split("train").boxes.crowd.sum() == 1


def test_crowds_are_ignored_in_masks(cells):
    box = [0, 0, 200, 0, 200, 200, 0, 200]
    change(cells, lambda content: content.update(
        annotations=[{"id": i, "image_id": image["id"], "category_id": 7, "iscrowd": i, "segmentation": [box]}
                     for image in content["images"] for i in (0, 1)]))  # fmt: skip
    content = json.loads(cells.read_text())
    content["annotations"][0]["segmentation"] = [[50, 50, 100, 50, 100, 100, 50, 100]]
    cells.write_text(json.dumps(content))
    mask = load(str(cells), target="mask", val_fraction=0).split("train").masks.read(0)
    assert mask[20, 20] == 255
    assert mask[70, 70] == 2
    assert mask[300, 300] == 0


def test_images_without_annotations_stay(cells):
    gone = json.loads(cells.read_text())["images"][1]["id"]
    source = change(cells, lambda content: content.update(
        annotations=[note for note in content["annotations"] if note["image_id"] != gone]))  # fmt: skip
    assert len(source.split("train")) == 3
    assert sorted(np.diff(source.split("train").boxes.starts))[0] == 0


def test_a_category_without_boxes_is_a_class_without_pictures(cells):
    source = change(
        cells, lambda content: content["categories"].append({"id": 0, "name": "cells", "supercategory": "x"})
    )
    assert source.classes == ("cells", *formats.CLASSES)
    assert source.findings["class without pictures"] == ("cells",)


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            lambda c: c["annotations"].append({"id": 1, "image_id": 99}),
            "1 annotations of image_id 99, which is not there",
        ),
        (lambda c: c["annotations"].append("x"), "has no image_id"),
        (lambda c: c["annotations"].append({"bbox": [1, 2, 3, 4]}), "has no image_id"),
        (lambda c: c["images"].append({"id": 5}), "images[3]: has no id or no file_name"),
        (lambda c: c["images"].append(None), "images[3]: has no id or no file_name"),
        (lambda c: c["annotations"][0].update(category_id=[]), "is of no known class"),
        (lambda c: c["annotations"][0].update(category_id=1), "is of no known class"),
    ],
)
def test_what_is_left_out_is_listed(cells, edit, line):
    source = change(cells, edit)
    assert len(source) == 3
    assert any(line in found for found in source.findings["bad annotation"])


def test_two_pictures_of_one_id(cells):
    source = change(cells, lambda c: c["images"].append({"id": c["images"][0]["id"], "file_name": "x.jpg"}))
    assert source.skipped[0].path.endswith("images/x.jpg")
    assert "has two pictures of id 164; the first is kept" in source.skipped[0].reason


def test_pictures_that_are_missing_are_skipped(cells):
    source = change(cells, lambda c: c["images"].append({"id": 7, "file_name": "gone.jpg"}))
    assert [(skipped.path, skipped.reason) for skipped in source.skipped] == [
        (f"{cells.parent}/images/gone.jpg", "No such file or directory")
    ]
    source = change(cells, lambda c: c["images"][3].update(file_name="a\0b"))
    assert "null byte" in source.skipped[0].reason


def test_run_lengths(cells):
    want = np.zeros((480, 640), np.uint8)
    want[100:200, 300:500] = 1
    runs = coco_mask.encode(np.asfortranarray(want))
    flat = want.ravel(order="F")  # run lengths go down the columns, and start with background
    lengths = np.diff([0, *(np.flatnonzero(np.diff(flat)) + 1), flat.size]).tolist()
    for counts in (runs["counts"].decode(), lengths):
        outline = {"size": [480, 640], "counts": counts}
        content = json.loads(cells.read_text())
        content["annotations"] = [
            {"id": 1, "image_id": image["id"], "category_id": 3, "segmentation": outline} for image in content["images"]
        ]
        cells.write_text(json.dumps(content))
        split = load(str(cells), target="mask", val_fraction=0).split("train")
        np.testing.assert_array_equal(split.masks.read(0), want)


def test_bad_outlines_are_listed_with_the_file(cells):
    def edit(content):
        content["annotations"][0]["segmentation"] = [[1, 2]]
        content["annotations"][1]["category_id"] = 1

    change(cells, edit)
    source = load(str(cells), target="mask", val_fraction=0)
    first, second = (line for line in source.findings["bad annotation"] if line.split()[2] in "12")
    assert first == f"{cells}: annotation 1 of BloodImage_00164.jpg: has an outline of 1 corners"
    assert second.endswith("is of no known category (1)")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", r"cells.json is no JSON: Expecting property name .*: line 1 column 2"),
        ('{"images": [], "annotations": []}', "cells.json is no COCO file: it has no list categories"),
        ('{"images": 3, "annotations": [], "categories": 1}', "it has no list images and no list categories"),
        ('{"images": [], "annotations": [], "categories": [{"id": "x"}]}', "has no category with an id and a name"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a/b"}]}', "'a/b' cannot be a class name"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}', "cells.json names no pictures"),
        ("[" * 100_000, "cells.json is no JSON: "),
    ],
)
def test_a_file_that_cannot_be_used(cells, text, reason):
    cells.write_text(text)
    with pytest.raises(InputError, match=reason):
        load(str(cells))


def test_the_collector_runs_again_afterwards(cells):
    load(str(cells))
    assert gc.isenabled()
    cells.write_text("{")
    with pytest.raises(InputError):
        load(str(cells))
    assert gc.isenabled()


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"has no COCO annotations: expected annotations/\*\.json"):
        load(str(tmp_path), format="coco")
