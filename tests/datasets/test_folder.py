from __future__ import annotations

import pytest

from tfmap.datasets import folder
from tfmap.errors import InputError


def test_classes_are_sorted_and_files_in_order(fill):
    listing = folder.read(fill({"b/2.jpg": 0, "b/10.jpg": 1, "a/1.jpg": 2}))
    assert listing.classes == ("a", "b")
    assert list(listing.labels) == [0, 1, 1]
    assert [path.split("/")[-1] for path in listing.images] == ["1.jpg", "10.jpg", "2.jpg"]
    assert set(listing.parts) == {""}


def test_parts_by_any_common_name(fill):
    listing = folder.read(fill({"Train/a/1.jpg": 0, "valid/b/1.jpg": 1, "testing/a/1.jpg": 2}))
    assert list(listing.parts) == ["test", "train", "val"] or set(listing.parts) == {"train", "val", "test"}
    assert listing.classes == ("a", "b")


def test_classes_may_be_called_train_and_test(fill):
    listing = folder.read(fill({"train/1.jpg": 0, "test/1.jpg": 1, "bus/1.jpg": 2}))
    assert listing.classes == ("bus", "test", "train")
    assert set(listing.parts) == {""}


def test_parts_beside_classes_can_be_read_in_two_ways(fill):
    root = fill({"train/a/1.jpg": 0, "cat/1.jpg": 1})
    with pytest.raises(
        InputError, match=r"read in two ways: as parts \(train\) or as classes, .*also holds cat\. Move"
    ):
        folder.read(root)


def test_one_part_by_two_names(fill):
    root = fill({"train/a/1.jpg": 0, "val/a/1.jpg": 1, "validation/a/1.jpg": 2})
    with pytest.raises(InputError, match=r"names one part twice: train, val, validation\. Keep one"):
        folder.read(root)


def test_pictures_outside_class_folders_are_listed(fill):
    listing = folder.read(fill({"a/1.jpg": 0, "b/1.jpg": 1, "lost.JPG": 2, "README.md": b"notes"}))
    assert [(skipped.path.split("/")[-1], skipped.reason) for skipped in listing.skipped] == [
        ("lost.JPG", "lies outside the class folders")
    ]


def test_one_level_too_high(fill):
    root = fill({"archive/a/1.jpg": 0, "archive/b/1.jpg": 1})
    with pytest.raises(InputError, match=r"class folder .*archive holds no pictures, only a, b\."):
        folder.read(root)


def test_a_class_name_that_breaks_a_label_file(fill):
    with pytest.raises(InputError, match=r"'a\\nb' cannot be a class name \(a folder in .*Rename the class"):
        folder.read(fill({"a\nb/1.jpg": 0, "c/1.jpg": 1}))


def test_class_names_in_any_script(fill):
    assert folder.read(fill({"Ähre/1.jpg": 0, "猫 (Katze)/1.jpg": 1})).classes == ("Ähre", "猫 (Katze)")
