from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest

from tfmap.datasets import load, records
from tfmap.errors import InputError
from tfmap.prepare import prepare

SHARD = "train-00000-of-00001"


@pytest.fixture
def prepared(fill, tmp_path):
    """A prepared set of eight photographs of two classes."""
    folder = fill({f"{'ab'[row % 2]}/{row}.jpg": row for row in range(8)})
    prepare(load(str(folder), val_fraction=0.0), tmp_path / "out", workers=1)
    return tmp_path / "out"


def edit(folder, **values) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **values}))


def test_it_is_found_by_its_manifest(prepared, glass):
    split = load(str(prepared), val_fraction=0.0).split("train")
    assert (split.kind, len(split), split.shards) == ("record", 8, (str(prepared / f"{SHARD}.tfrecord"),))
    for name, place, label in zip(split.ids, split.images, split.labels, strict=True):
        assert records.read_bytes(split.shards, place) == glass[int(name[2])].read_bytes()
        assert "ab"[label] == name[0]


def test_its_pictures_are_cut_as_the_source_was(fill, tmp_path):
    """The cut follows from the content of the source, also where it was shrunk on the way."""
    folder = fill({f"{'ab'[row % 2]}/{row}.jpg": row for row in range(40)})
    prepare(load(str(folder), val_fraction=0.0), tmp_path / "out", workers=1, max_side=50)
    source, read = load(str(folder)), load(str(tmp_path / "out"))
    assert {os.path.relpath(name, folder) for name in source.split("val").ids} == set(read.split("val").ids)


def test_no_picture_is_opened(prepared):
    data = bytearray((prepared / f"{SHARD}.tfrecord").read_bytes())
    (prepared / f"{SHARD}.tfrecord").write_bytes(bytes(len(data)))
    assert len(load(str(prepared), val_fraction=0.0)) == 8


def test_a_split_can_be_sent_to_another_process(prepared):
    split = load(str(prepared), val_fraction=0.0).split("train")
    again = pickle.loads(pickle.dumps(split))
    assert records.read_bytes(again.shards, again.images[3]) == records.read_bytes(split.shards, split.images[3])


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        (
            lambda out: os.remove(out / f"{SHARD}.tfrecord"),
            rf"{SHARD}.tfrecord is broken: it is missing\.",
        ),
        (lambda out: os.truncate(out / f"{SHARD}.tfrecord", 99), r"is broken: expected \d+ bytes, found 99\. Make it"),
        (lambda out: os.remove(out / f"{SHARD}.npz"), rf"{SHARD}.npz is missing\. Make it again: python -m tfmap.prep"),
        (lambda out: flip(out / f"{SHARD}.npz"), rf"{SHARD}.npz is not the one that was written"),
        (lambda out: edit(out, schema=99), r"manifest.json is of 'tfmap.records' schema 99, expected 'tfmap.records'"),
        (
            lambda out: edit(out, finished=False),
            r"was not finished: its preparation was interrupted\.",
        ),
        (lambda out: edit(out, splits={"train": {}}), r"manifest.json is damaged \(KeyError\('shards'\)\)"),
        (lambda out: edit(out, splits={}), r"manifest.json is damaged: it names no shards"),
    ],
)
def test_a_broken_set_is_refused(prepared, harm, text):
    harm(prepared)
    with pytest.raises(InputError, match=text):
        load(str(prepared))


def test_a_broken_manifest_is_told_where_records_are_asked_for(prepared):
    (prepared / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest.json cannot be read: Expecting property name"):
        load(str(prepared), format="records")


def test_a_folder_of_another_kind(fill):
    folder = fill({"a/1.jpg": 0})
    with pytest.raises(InputError, match=r"manifest.json cannot be read: .*No such file"):
        load(str(folder), format="records")
    with pytest.raises(InputError, match=r"datasets.format 'records' wants a folder, received the file"):
        load(str(folder / "a" / "1.jpg"), format="records")


def test_a_manifest_of_others_does_not_make_a_folder_ours(fill):
    folder = fill({f"{'ab'[row % 2]}/{row}.jpg": row for row in range(8)})
    for text in ("{}", "[1]", "no json", '{"format": "other"}'):
        (folder / "manifest.json").write_text(text)
        assert load(str(folder)).classes == ("a", "b")


def test_verify_reads_the_pictures(prepared):
    records.verify(prepared)
    flip(prepared / f"{SHARD}.tfrecord")
    load(str(prepared), val_fraction=0.0)
    with pytest.raises(InputError, match=rf"{SHARD}.tfrecord is damaged: its SHA-256 is not the one in the manifest"):
        records.verify(prepared)


def test_a_place_behind_the_end(prepared):
    split = load(str(prepared), val_fraction=0.0).split("train")
    os.truncate(split.shards[0], 500)
    with pytest.raises(OSError, match=r"tfrecord ends before byte \d+"):
        records.read_bytes(split.shards, split.images[-1])


def test_shards_are_numbered_across_splits(fill, tmp_path):
    folder = fill({f"{part}/{'ab'[row % 2]}/{row}.jpg": row for row in range(8) for part in ("train",)})
    for row in range(8, 12):
        fill({f"val/{'ab'[row % 2]}/{row}.jpg": row})
    prepare(load(str(folder)), tmp_path / "out", workers=1)
    read = load(str(tmp_path / "out"))
    assert np.unique(read.split("val").images["shard"]).tolist() == [1]
    assert {name: len(split) for name, split in read.splits.items()} == {"train": 8, "val": 4}
