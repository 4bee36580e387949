from __future__ import annotations

import pytest

from tfmap.datasets import load
from tfmap.errors import InputError


def test_unknown_format():
    with pytest.raises(
        InputError, match=r"datasets.format must be folder \| csv \| .*, received 'foldr' .str.\. Did you mean 'folder'"
    ):
        load("sample:trash", format="foldr")


def test_unknown_sample():
    with pytest.raises(
        InputError, match=r"unknown sample 'trahs'\. Samples: cells, membrane, nuclei, trash\. Did you mean 'trash'\?"
    ):
        load("sample:trahs")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "a.txt").write_text("path,label\n")
    with pytest.raises(
        InputError,
        match=r"a.txt is no data set: expected a folder, an archive, a URL, or a .csv, .npz, .json \(COCO\) or .yaml "
        r"\(YOLO\) file\.",
    ):
        load(str(tmp_path / "a.txt"))


def test_format_that_does_not_fit(tmp_path):
    (tmp_path / "a.csv").write_text("path,label\n")
    with pytest.raises(InputError, match=r"datasets.format 'folder' wants a folder, received the file .*a.csv"):
        load(str(tmp_path / "a.csv"), format="folder")
    with pytest.raises(InputError, match=r"datasets.format 'npz' wants a file, received the folder"):
        load(str(tmp_path), format="npz")


def test_class_folders_keep_their_reading_beside_stray_files(fill):
    folder = fill({"a/1.jpg": 0, "b/1.jpg": 2, "pictures/c.jpg": 4})
    (folder / "project.xml").write_text("<project/>")
    (folder / "package.json").write_text('{"images": 4, "name": "x", "categories": "annotations"}')
    (folder / "classes.txt").write_text("a\nb\n")
    assert load(str(folder), val_fraction=0).classes == ("a", "b", "pictures")


def test_format_wins_over_the_suffix(tmp_path):
    (tmp_path / "a.txt").write_text("path,label\n")
    with pytest.raises(InputError, match="a.txt has no rows"):
        load(str(tmp_path / "a.txt"), format="csv")


def test_a_home_folder_is_expanded(fill, monkeypatch):
    folder = fill({"a/1.jpg": 0, "a/2.jpg": 1, "b/1.jpg": 2, "b/2.jpg": 3})
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load("~/data").classes == ("a", "b")
