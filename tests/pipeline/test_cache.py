from __future__ import annotations

import gc
import os
import sys

import numpy as np
import pytest

from tfmap import pipeline
from tfmap.pipeline import cache
from tfmap.pipeline.reader import Reader
from tfmap.tasks.classification import prepare

SIZE = (24, 32)


def read(split, kind, **options):
    options = {"size": SIZE, "prepare": prepare, "batch_size": 16} | options
    batches = [{key: value.numpy() for key, value in b.items()} for b in pipeline.batches(split, cache=kind, **options)]
    return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """A cache folder and a process that have seen nothing yet."""
    monkeypatch.setenv("TFMAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_MADE", {})


@pytest.fixture
def filled(monkeypatch):
    """How often a cache was filled."""
    fills, fill = [], cache._fill
    monkeypatch.setattr(cache, "_fill", lambda *args: fills.append(1) or fill(*args))
    return fills


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"training": True, "epochs": 2, "seed": 5},
        pytest.param({"channels": 1}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_cache_changes_no_bit(split, options):
    plain = read(split, "none", **options)
    for kind in ("memory", "disk", "auto"):
        cached = read(split, kind, **options)
        assert plain.keys() == cached.keys()
        for key in plain:
            np.testing.assert_array_equal(plain[key], cached[key])


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_cache_is_filled_once_for_all_phases(split, filled, kind):
    for options in ({}, {"training": True, "epochs": 1}, {"batch_size": 5}):
        read(split, kind, **options)
    assert len(filled) == 1
    read(split, kind, size=(8, 8))
    assert len(filled) == 2


def test_a_disk_cache_outlives_the_process(copies, filled, monkeypatch):
    first = read(copies, "disk")
    monkeypatch.setattr(cache, "_MADE", {})
    np.testing.assert_array_equal(read(copies, "disk")["image"], first["image"])
    assert len(filled) == 1


def test_a_disk_cache_is_made_anew_when_a_file_changes(copies, files, filled, monkeypatch):
    before = read(copies, "disk")["image"]
    with open(copies.images[3], "wb") as file:
        file.write(files[4].read_bytes())
    monkeypatch.setattr(cache, "_MADE", {})
    after = read(copies, "disk")["image"]
    assert len(filled) == 2
    np.testing.assert_array_equal(after[3], before[4])


def test_a_disk_cache_that_was_cut_short_is_made_anew(copies, filled, tmp_path, monkeypatch):
    first = read(copies, "disk")
    (folder,) = (tmp_path / "cache" / "pixels").iterdir()
    os.remove(folder / "ok.npy")
    (folder / "image.npy").write_bytes(b"cut")
    monkeypatch.setattr(cache, "_MADE", {})
    np.testing.assert_array_equal(read(copies, "disk")["image"], first["image"])
    assert len(filled) == 2


def test_another_prepare_is_another_cache(split):
    def upside_down(example, size):
        return {"image": prepare(example, size)["image"][::-1]}

    for kind in ("memory", "disk"):
        np.testing.assert_array_equal(
            read(split, kind, prepare=upside_down)["image"][:50], read(split, kind)["image"][:50, ::-1]
        )


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_lost_file_does_not_count_in_a_cache(copies, kind):
    os.remove(copies.images[11])
    read_again = read(copies, kind)
    np.testing.assert_array_equal(read_again["weight"][:50], np.arange(50) != 11)
    assert [lost.path for lost in pipeline.lost(copies)] == [copies.images[11]]


def test_auto_is_none_where_it_does_not_fit(split, filled):
    assert 0.1 < cache.megabytes(split, Reader(split, SIZE, 3, prepare)) < 1
    read(split, "auto", cache_limit_mb=0)
    read(split, "auto", training=True, epochs=1, crop=[0.5, 1.0])
    assert filled == []
    read(split, "auto", cache_limit_mb=1)
    assert len(filled) == 1


def test_a_cache_goes_with_its_split(files, path_split):
    split = path_split(files[:8])
    cache.cached(split, Reader(split, SIZE, 3, prepare), (SIZE, 3, prepare, None), "memory")
    assert len(cache._MADE) == 1
    del split
    gc.collect()  # TensorFlow's functions stand in cycles
    assert cache._MADE == {}


def test_progress_is_shown_on_a_terminal_for_many_pictures(split, monkeypatch, capsys):
    monkeypatch.setattr(cache, "_SHOW_FROM", 3)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    read(split, "memory")
    assert "Preparing every picture once" in capsys.readouterr().err
