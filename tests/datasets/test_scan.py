from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest

from tfmap.datasets import load, scan
from tfmap.datasets.listing import Listing, objects


def listing(images, kind="path"):
    count = len(images)
    images = objects(list(images)) if kind != "pixels" else images
    return Listing(kind, images, np.zeros(count, np.int32), objects([""] * count), objects([""] * count), ("a",))


@pytest.fixture
def old(fill):
    """A folder of two classes whose files were last changed long ago."""
    folder = fill({f"{label}/{i}.jpg": 3 * j + i for j, label in enumerate("ab") for i in range(3)})
    for path in folder.glob("*/*"):
        os.utime(path, (1e9, 1e9))
    return folder


@pytest.fixture
def opened(monkeypatch):
    """The paths that a scan opens."""
    paths, judge_file = [], scan.judge_file
    monkeypatch.setattr(scan, "judge_file", lambda path: paths.append(path) or judge_file(path))
    return paths


def test_equal_bytes_have_equal_digests(glass):
    first, second, third = scan.scan(listing([str(glass[0]), str(glass[0]), str(glass[1])]), "x")
    assert first == second
    assert first.digest != third.digest
    assert len(first.digest) == 32


def test_paths_bytes_and_pixels(glass, photos):
    by_path = scan.scan(listing([str(path) for path in glass[:5]]), "x", workers=1)
    by_bytes = scan.scan(listing([path.read_bytes() for path in glass[:5]], "encoded"), "x", workers=3)
    assert by_path == by_bytes
    verdicts = scan.scan(listing(photos[0], "pixels"), "x")
    assert len({verdict.digest for verdict in verdicts}) == len(photos[0])
    assert not any(verdict.odd or verdict.reason for verdict in verdicts)


def test_more_files_than_a_block_keep_their_order(glass):
    paths = [str(glass[i % 40]) for i in range(scan._BLOCK + 100)]
    verdicts = scan.scan(listing(paths), "x")
    assert len(verdicts) == len(paths)
    assert verdicts[scan._BLOCK :] == [verdicts[i % 40] for i in range(scan._BLOCK, len(paths))]


def test_the_second_load_opens_nothing(own_cache_folder, old, opened):
    first = load(str(old))
    assert len(opened) == 6
    second = load(str(old))
    assert len(opened) == 6
    for part in first.splits:
        assert list(first.split(part).ids) == list(second.split(part).ids)


def test_only_what_changed_is_opened_again(own_cache_folder, old, opened, glass):
    load(str(old))
    opened.clear()
    (old / "a" / "1.jpg").write_bytes(b"broken")
    (old / "b" / "9.jpg").write_bytes(glass[20].read_bytes())
    source = load(str(old))
    assert sorted(opened) == [str(old / "a" / "1.jpg"), str(old / "b" / "9.jpg")]
    assert [skipped.path for skipped in source.skipped] == [str(old / "a" / "1.jpg")]


def test_a_file_that_changed_just_now_is_not_trusted_next_time(own_cache_folder, old, opened):
    """Its time of change could stay the same when it changes again within the clock's tick."""
    os.utime(old / "a" / "1.jpg")
    load(str(old))
    opened.clear()
    load(str(old))
    assert opened == [str(old / "a" / "1.jpg")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version": "0", "files": {}}',
        b"\xff\xfe",
        b'{"version": "VERSION", "files": {"x": [1]}}',
    ],
)
def test_a_broken_cache_is_ignored_and_written_anew(own_cache_folder, old, opened, content):
    load(str(old))
    (file,) = (own_cache_folder / "scan").iterdir()
    good = json.loads(file.read_text())
    file.write_bytes(content.replace(b"VERSION", good["version"].encode()))
    opened.clear()
    assert len(load(str(old))) == 6
    assert len(opened) == 6
    assert json.loads(file.read_text()) == good


def test_no_place_for_a_cache(tmp_path, monkeypatch, old):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TFMAP_CACHE", str(tmp_path / "file" / "below"))
    assert len(load(str(old))) == 6


def test_too_large_files_are_not_read(glass, monkeypatch):
    monkeypatch.setattr(scan.pixels, "LARGEST_FILE", 1 << 10)
    assert scan.judge_file(str(glass[0])).reason == "is larger than 0 MB"


def test_a_reason_is_one_line(monkeypatch):
    def fail(_):
        raise ValueError("two\n  lines")

    monkeypatch.setattr(scan.pixels, "examine", fail)
    assert scan.judge(b"x").reason == "two lines"


def test_progress_is_shown_on_a_terminal_for_many_files(own_cache_folder, glass, monkeypatch, capsys):
    monkeypatch.setattr(scan, "_SHOW_FROM", 3)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert len(scan.scan(listing([str(path) for path in glass[:4]]), "x")) == 4
    assert "Looking at every picture once" in capsys.readouterr().err
