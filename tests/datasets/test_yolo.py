from __future__ import annotations

import os

import numpy as np
import pytest
import yaml

from tests.datasets import formats
from tfmap.datasets import load
from tfmap.errors import InputError

STEMS = [stem for _, stem, _ in formats.rows()]


@pytest.fixture
def cells(tmp_path):
    return formats.yolo(tmp_path / "cells")


def described(folder, **content):
    """Write another data.yaml."""
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return str(folder)


def label(folder, text, stem="BloodImage_00164", part="train"):
    (folder / "labels" / part / f"{stem}.txt").write_text(text)
    split = load(str(folder)).split(part)
    return split, list(split.ids).index(f"{folder}/images/{part}/{stem}.jpg")


def test_a_file_of_pictures(cells):
    for part in formats.PARTS:
        names = [f"./images/{part}/{stem}.jpg" for _, stem, _ in formats.only(part)]
        (cells / f"{part}.txt").write_text("\n".join(names) + "\n")
    source = load(described(cells, names=list(formats.CLASSES), **{part: f"{part}.txt" for part in formats.PARTS}))
    assert {part: len(split) for part, split in source.splits.items()} == {"train": 3, "val": 2, "test": 1}
    assert sum(len(split.boxes.boxes) for split in source.splits.values()) > 50


def test_a_list_of_folders_and_a_part_alone(cells):
    source = load(described(cells, names=list(formats.CLASSES), train=["images/train", "images/val"]), val_fraction=0)
    assert len(source.split("train")) == 5


def test_an_absolute_path_and_one_that_is_gone(cells):
    parts = {part: f"images/{part}" for part in formats.PARTS}
    assert len(load(described(cells, path=str(cells), names=list(formats.CLASSES), **parts))) == 6
    assert len(load(described(cells, path="/datasets/elsewhere", names=list(formats.CLASSES), **parts))) == 6


def test_names_as_numbers_with_gaps(cells):
    parts = {part: f"images/{part}" for part in formats.PARTS}
    source = load(described(cells, names={0: "Platelets", 1: "RBC", 7: "x", 2: "WBC"}, **parts))
    assert source.classes == ("Platelets", "RBC", "WBC", "x")
    assert load(described(cells, nc=3, **parts)).classes == ("0", "1", "2")


@pytest.mark.parametrize("layout", ["images", "beside", "parts"])
def test_classes_txt_instead_of_a_description(tmp_path, layout):
    for part, stem, objects in formats.rows():
        home = tmp_path / part if layout == "parts" else tmp_path
        pictures = home / "images" if layout != "beside" else home
        formats.copy(stem, pictures)
        labels = home / "labels" if layout != "beside" else home
        formats.write(labels / f"{stem}.txt", formats.yolo_lines(objects))
    (tmp_path / "classes.txt").write_text("\n".join(formats.CLASSES) + "\n")
    source = load(str(tmp_path), format="yolo" if layout == "parts" else None, val_fraction=0)
    assert source.target == "boxes"
    assert len(source) == 6
    assert source.skipped == ()
    assert set(source.splits) == ({"train", "val", "test"} if layout == "parts" else {"train"})


def test_the_folder_may_be_the_current_one(cells, monkeypatch):
    monkeypatch.chdir(cells)
    assert load(".").split("train").boxes.boxes.size
    monkeypatch.chdir(cells / "images")
    assert load("../data.yaml").split("train").boxes.boxes.size


def test_a_picture_without_label_file_has_no_objects(cells):
    (cells / "labels" / "train" / "BloodImage_00164.txt").unlink()
    source = load(str(cells))
    assert source.findings["without label file, so without objects"] == (f"{cells}/images/train/BloodImage_00164.jpg",)
    assert len(source.split("train")) == 3


def test_an_empty_label_file_is_a_picture_without_objects(cells):
    split, index = label(cells, "")
    assert split.boxes.rows(index).stop == split.boxes.rows(index).start
    assert not split.labels[index].any()


def test_shares_become_pixels(cells):
    split, index = label(cells, "1 0.5 0.5 0.25 0.5\n2 0 0 1 0 1 0.5 0.5 1\n")
    rows = split.boxes.rows(index)
    np.testing.assert_allclose(split.boxes.boxes[rows], [[120, 240, 360, 400], [0, 0, 480, 640]])
    np.testing.assert_array_equal(split.boxes.classes[rows], [1, 2])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1 0.5 0.5\n", "line 1: has 3 numbers, expected 5 (a box) or an outline of 7 or more"),
        ("\n1 0.5 0.5 0.1 0.1 0.9\n", "line 2: has 6 numbers"),
        ("3 0.5 0.5 0.1 0.1\n", "line 1: class 3 is none of the 3 classes"),
        ("-1 0.5 0.5 0.1 0.1\n", "line 1: class -1 is none of the 3 classes"),
        ("1.5 0.5 0.5 0.1 0.1\n", "line 1: class 1.5 is none of the 3 classes"),
        ("nan 0.5 0.5 0.1 0.1\n", "line 1: class nan is none of the 3 classes"),
        ("1e400 0.5 0.5 0.1 0.1\n", "line 1: class 1e400 is none of the 3 classes"),
        ("1 0.5 x 0.1 0.1\n", "BloodImage_00164.jpg: box 1 (RBC) has coordinates that are no numbers"),
        ("1 0 0 nan 1 1 1 0 1\n", "BloodImage_00164.jpg: box 1 (RBC) has coordinates that are no numbers"),
        ("1 0.5 0.5 -0.1 0.1\n", "BloodImage_00164.jpg: box 1 (RBC) has no area"),
        ("1 320 240 64 48\n", "BloodImage_00164.jpg: box 1 (RBC) lies outside the picture"),
    ],
)
def test_bad_lines_are_listed(cells, text, line):
    label(cells, text)
    assert any(line in found for found in load(str(cells)).findings["bad annotation"])


def test_a_label_file_that_is_no_text_costs_its_picture(cells):
    (cells / "labels" / "train" / "BloodImage_00164.txt").write_bytes(b"\xff\xfe\x00")
    file = cells / "labels" / "train" / "BloodImage_00388.txt"
    file.unlink()
    os.mkfifo(file)
    source = load(str(cells))
    assert len(source.split("train")) == 1
    first, second = sorted(source.skipped, key=lambda skipped: skipped.path)
    assert first.reason.startswith("cannot be read, so its picture is left out: 'utf-8' codec")
    assert second.reason.endswith("is no file, or larger than 64 MB")


def test_label_files_of_no_picture_are_listed(cells):
    (cells / "images" / "test" / "BloodImage_00390.jpg").unlink()
    (skipped,) = load(str(cells)).skipped
    assert skipped.path == f"{cells}/labels/test/BloodImage_00390.txt"
    assert skipped.reason == "is the label file of no picture"


def test_a_box_line_among_outlines_is_left_out_of_masks(tmp_path):
    folder = formats.yolo_outlines(tmp_path / "cells")
    file = folder / "train" / "labels" / "BloodImage_00164.txt"
    file.write_text(file.read_text() + "1 0.5 0.5 0.1 0.1\n")
    (line,) = (line for line in load(str(folder), target="mask").findings["bad annotation"] if "00164" in line)
    assert line.endswith("has no outline")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("train: [", "data.yaml is no YAML: while parsing"),
        ("a: 1", r"data.yaml is no data.yaml of YOLO: it needs train \(folders of pictures\) and names"),
        ("[]", r"data.yaml is no data.yaml of YOLO"),
        ("train: images/train", "data.yaml needs names: a list of words, or numbers from 0 to 10000 and words"),
        ("{train: images/train, names: {a: b}}", "data.yaml needs names"),
        ("{train: images/train, names: 3}", "data.yaml needs names"),
        ("{train: images/train, nc: 1000000000}", "data.yaml needs names"),
        ("{train: images/train, names: [[a]]}", "data.yaml needs names"),
        ("{train: images/train, names: [a, a]}", "the class 'a' stands twice"),
        ("{train: images/nowhere, names: [a]}", "data.yaml: train is 'images/nowhere', which is not there"),
        ("{train: [3], names: [a]}", "data.yaml: train is 3, which is not there"),
    ],
)
def test_a_description_that_cannot_be_used(cells, text, reason):
    (cells / "data.yaml").write_text(text)
    with pytest.raises(InputError, match=reason):
        load(str(cells))


def test_a_description_that_is_no_text(cells):
    (cells / "data.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="data.yaml is no text in UTF-8: invalid start byte at byte 0"):
        load(str(cells))
    (cells / "data.yaml").unlink()
    os.mkfifo(cells / "list.txt")
    with pytest.raises(InputError, match="list.txt is no file"):
        load(described(cells, train="list.txt", names=["a"]))


def test_no_description(tmp_path):
    with pytest.raises(
        InputError, match=r"is no YOLO data set: expected data.yaml \(train, val, names\) or classes.txt"
    ):
        load(str(tmp_path), format="yolo")
