from __future__ import annotations

import os
import sys

import pytest

from tfmap.datasets import load, tree
from tfmap.errors import InputError


@pytest.fixture
def loops(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.JPG").write_bytes(b"x")
    (tmp_path / "a" / ".hidden.jpg").write_bytes(b"x")
    os.symlink(tmp_path, tmp_path / "a" / "again")
    os.symlink("self.png", tmp_path / "a" / "self.png")
    os.symlink("nowhere.png", tmp_path / "a" / "gone.png")
    return tmp_path


def test_loops_of_links_end(loops):
    assert [path.name for path in tree.below(loops)] == ["1.JPG", "gone.png", "self.png"]
    assert [path.name for path in tree.folders(loops / "a")] == ["again"]
    assert [path.name for path in tree.pictures(loops / "a")] == ["1.JPG", "gone.png", "self.png"]


def test_a_link_to_itself_is_a_picture_that_cannot_be_read(fill):
    folder = fill({f"{label}/{i}.jpg": 4 * j + i for j, label in enumerate("ab") for i in range(4)})
    os.symlink("self.png", folder / "a" / "self.png")
    os.symlink(folder, folder / "b" / "again")
    os.mkfifo(folder / "b" / "pipe.jpg")
    said = {item.path.removeprefix(f"{folder}/"): item.reason for item in load(str(folder)).skipped}
    assert said == {
        "a/self.png": "Too many levels of symbolic links",
        "b/again": "is a folder inside a class folder; it was not searched",
        "b/pipe.jpg": "is no regular file",
    }


def test_a_name_that_is_no_text_is_left_out(fill):
    folder = fill({f"{label}/{i}.jpg": 4 * j + i for j, label in enumerate("ab") for i in range(4)})
    os.rename(folder / "a" / "1.jpg", os.fsencode(folder / "a") + b"/\xff.jpg")
    source = load(str(folder))
    (skipped,) = source.skipped
    assert skipped.path == f"{folder}/a/\\udcff.jpg"
    assert skipped.reason == "has a name that is no UTF-8; rename it"
    skipped.path.encode()  # can be printed


def test_children_by_name_in_any_case(tmp_path):
    (tmp_path / "JPEGImages").mkdir()
    assert tree.child(tmp_path, ("jpegimages",)) == tmp_path / "JPEGImages"
    assert tree.child(tmp_path, ("masks",)) is None
    assert tree.child(tmp_path / "none", ("masks",)) is None


def test_folders_nested_deeper_than_the_stack(tmp_path):
    depth = sys.getrecursionlimit() + 100
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        assert tree.below(tmp_path) == []
    finally:  # pytest's own cleaning is recursive
        for _ in range(depth):
            os.chdir("..")
            os.rmdir("d")
        os.chdir(here)


def test_text(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffé\n\nb\n".encode())
    assert tree.class_names(tmp_path, "none.txt", "a.txt") == ["é", "b"]
    assert tree.class_names(tmp_path, "none.txt") is None
    with pytest.raises(InputError, match="none.txt is no file"):
        tree.read_text(tmp_path / "none.txt")
