from __future__ import annotations

import pytest

from tests.datasets import formats
from tfmap.datasets import load, samples
from tfmap.errors import InputError


@pytest.fixture
def pictures(fill):
    return fill({f"{label}/{i}.jpg": 4 * j + i for j, label in enumerate("ab") for i in range(4)} | {"a/x #1.jpg": 9})


def exclude(tmp_path, *lines):
    (tmp_path / "out.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(tmp_path / "out.txt")


def test_whole_and_relative_paths_and_comments(pictures, tmp_path):
    list_file = exclude(
        tmp_path, "# doctor", "", f"{pictures}/a/0.jpg", "a/1.jpg  # blurred", "./b/2.jpg", "a/x #1.jpg"
    )
    source = load(str(pictures), exclude=list_file)
    assert len(source) == 5
    assert {item.path.removeprefix(f"{pictures}/") for item in source.skipped} == {
        "a/0.jpg", "a/1.jpg", "b/2.jpg", "a/x #1.jpg",
    }  # fmt: skip
    assert {item.reason for item in source.skipped} == {f"excluded by {list_file}"}
    assert source.findings == {}


def test_entries_that_name_nothing_are_listed(pictures, tmp_path):
    source = load(str(pictures), exclude=exclude(tmp_path, "a/99.jpg", "a/0.jpg"))
    assert source.findings["excluded but not there"] == ("a/99.jpg",)
    assert len(source) == 8


def test_a_sample_and_its_ids(tmp_path):
    name = sorted((samples.folder("trash") / "glass").iterdir())[0].name
    source = load("sample:trash", exclude=exclude(tmp_path, f"glass/{name}"))
    assert len(source) == 1136


@pytest.mark.parametrize("format", formats.FORMATS)
def test_boxes_go_with_their_pictures(tmp_path, format):
    folder = formats.FORMATS[format](tmp_path / "cells")
    gone = next(folder.rglob("BloodImage_00338.jpg"))
    source = load(str(folder), exclude=exclude(tmp_path, str(gone.relative_to(folder))))
    assert len(source) == 5
    assert not any("00338" in line for line in source.findings["bad annotation"])
    whole = load(str(folder))
    rows = sum(len(split.boxes.boxes) for split in whole.splits.values())
    index = [name.endswith("00338.jpg") for name in whole.split("val").ids].index(True)
    lost = whole.split("val").boxes.rows(index)
    assert sum(len(split.boxes.boxes) for split in source.splits.values()) == rows - (lost.stop - lost.start)


def test_masks_go_with_their_pictures(tmp_path):
    source = load(str(formats.MEMBRANE), exclude=exclude(tmp_path, "train/image/1.png"), val_fraction=0)
    assert [name[-5] for name in source.split("train").ids] == ["0", "2"]


def test_no_list(tmp_path, pictures):
    with pytest.raises(
        InputError, match="datasets.exclude: .*none.txt is no file. Expected a text file with one path a"
    ):
        load(str(pictures), exclude=str(tmp_path / "none.txt"))
    (tmp_path / "out.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="out.txt is no text in UTF-8"):
        load(str(pictures), exclude=str(tmp_path / "out.txt"))


def test_everything_excluded(pictures, tmp_path):
    names = [str(path.relative_to(pictures)) for path in pictures.glob("*/*")]
    with pytest.raises(InputError, match="none of the 0 pictures of .* can be used"):
        load(str(pictures), exclude=exclude(tmp_path, *names))
