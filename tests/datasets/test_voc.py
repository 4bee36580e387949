from __future__ import annotations

import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.datasets import formats
from tfmap.datasets import load, voc
from tfmap.errors import InputError


@pytest.fixture
def cells(tmp_path):
    return formats.voc(tmp_path / "cells")


def stems(split):
    return {name.split("/")[-1][:-4] for name in split.ids}


def test_image_sets_say_the_parts_and_trainval_beside_train_is_ignored(cells):
    source = load(str(cells))
    for part in formats.PARTS:
        assert stems(source.split(part)) == {stem for _, stem, _ in formats.only(part)}


def test_trainval_stands_for_train_where_train_is_not_there(cells):
    for name in ("train", "val"):
        (cells / "ImageSets" / "Main" / f"{name}.txt").unlink()
    source = load(str(cells), val_fraction=0)
    assert {part: len(split) for part, split in source.splits.items()} == {"train": 5, "test": 1}


def test_one_image_set_alone_is_cut(cells):
    for name in ("train", "val", "test"):
        (cells / "ImageSets" / "Main" / f"{name}.txt").unlink()
    source = load(str(cells), val_fraction=0)
    assert len(source.split("train")) == 5
    assert source.findings["not in the data set"] == (f"1 pictures of {cells} stand in no file of ImageSets/Main",)


def test_without_image_sets_all_pictures_are_cut(cells):
    shutil.rmtree(cells / "ImageSets")
    assert len(load(str(cells), val_fraction=0).split("train")) == 6


def test_what_has_no_counterpart_is_listed(cells):
    (cells / "Annotations" / "BloodImage_00164.xml").unlink()
    (cells / "JPEGImages" / "BloodImage_00343.jpg").unlink()
    source = load(str(cells))
    assert {(skipped.path, skipped.reason) for skipped in source.skipped} == {
        (f"{cells}/JPEGImages/BloodImage_00164.jpg", "has no annotation file"),
        (f"{cells}/Annotations/BloodImage_00343.xml", "is the annotation of no picture"),
        ("BloodImage_00343", "has no picture"),
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "<annotation><object></annotation>",
            "is no XML that can be read, so its picture is left out: mismatched tag: l",
        ),
        ("", "is no XML that can be read, so its picture is left out: no element found: line 1, column 0"),
        ("<html/>", "is no VOC annotation, so its picture is left out: it starts with <html>"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "is no XML that can be read, .*klingon"),
    ],
)
def test_a_broken_file_costs_its_picture(cells, text, reason):
    (cells / "Annotations" / "BloodImage_00164.xml").write_text(text)
    source = load(str(cells))
    assert len(source) == 5
    (skipped,) = source.skipped
    assert skipped.path == f"{cells}/Annotations/BloodImage_00164.xml"
    assert re.match(reason, skipped.reason)


def test_a_pipe_is_not_waited_for(cells):
    (cells / "Annotations" / "BloodImage_00164.xml").unlink()
    os.mkfifo(cells / "Annotations" / "BloodImage_00164.xml")
    assert "is no file, or larger than 64 MB" in load(str(cells)).skipped[0].reason


def test_difficult_objects_keep_their_mark_and_bad_names_are_left_out(cells):
    file = cells / "Annotations" / "BloodImage_00390.xml"
    text = file.read_text().replace("<difficult>0<", "<difficult>1<", 1).replace("<name>RBC<", "<name>R/C<", 1)
    file.write_text(text)
    source = load(str(cells))
    assert source.split("test").boxes.difficult.sum() == 1 - text.split("<difficult>1<")[0].count("R/C")
    (line,) = (line for line in source.findings["bad annotation"] if "390" in line)
    assert line.endswith("'R/C' cannot be a class name")


def test_a_picture_without_objects_stays(cells):
    (cells / "Annotations" / "BloodImage_00390.xml").write_text("<annotation></annotation>")
    split = load(str(cells)).split("test")
    assert len(split) == 1
    assert len(split.boxes.boxes) == 0
    assert not split.labels.any()


def test_no_annotations(tmp_path):
    with pytest.raises(
        InputError, match="has no Pascal VOC annotations: expected JPEGImages/ and Annotations/ with XML"
    ):
        load(str(tmp_path), format="voc")


def test_none_of_the_pictures_has_an_annotation(cells):
    for file in (cells / "JPEGImages").iterdir():
        file.rename(file.with_stem("x" + file.stem))
    with pytest.raises(
        InputError, match=r"names no pictures. The first that was left out: .*xml: is the annotation of no"
    ):
        load(str(cells))


@pytest.fixture
def shapes(tmp_path):
    """VOC's own masks: palette PNGs of classes 0, 1 and 15, with 255 around the objects."""
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / name).mkdir(parents=True)
    for index in range(6):
        Image.effect_noise((30, 20), 50 + index).save(tmp_path / "JPEGImages" / f"{index}.jpg")
        mask = np.zeros((20, 30), np.uint8)
        mask[4:16, 4:26], mask[5:15, 5:25] = 255, 15 if index % 2 else 1
        image = Image.fromarray(mask)
        image.putpalette([7 * i % 256 for i in range(768)])
        assert image.mode == "P"
        if index < 5:
            image.save(tmp_path / "SegmentationClass" / f"{index}.png")
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_text("0\n1\n2\n5\n")
    (tmp_path / "ImageSets" / "Segmentation" / "val.txt").write_text("3\n4\n")
    return tmp_path


def test_masks_alone_are_the_target(shapes):
    source = load(str(shapes))
    assert source.target == "mask"
    assert len(source.classes) == 16
    assert {part: len(split) for part, split in source.splits.items()} == {"train": 3, "val": 2}
    assert [(skipped.path, skipped.reason) for skipped in source.skipped] == [
        (f"{shapes}/JPEGImages/5.jpg", "has no mask")
    ]
    assert set(np.unique(source.split("train").masks.read(1))) == {0, 15, 255}
    np.testing.assert_array_equal(np.flatnonzero(source.split("train").labels[1]), [0, 15])


def test_masks_beside_boxes_are_read_when_asked_for_and_named_by_voc(shapes):
    (shapes / "Annotations").mkdir()
    text = "<annotation><object><name>dog</name></object></annotation>"
    for index in range(6):
        (shapes / "Annotations" / f"{index}.xml").write_text(text)
    assert load(str(shapes)).target == "boxes"
    source = load(str(shapes), target="mask")
    assert source.target == "mask"
    assert source.classes == ("background", *voc.CLASSES)
    (shapes / "classes.txt").write_text("none\n" + "\n".join(f"c{i}" for i in range(15)) + "\n")
    assert load(str(shapes), target="mask").classes[:2] == ("none", "c0")
