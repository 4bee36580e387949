from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from tests.prepare.test_record import shard_of
from tfmap.prepare import shards
from tfmap.prepare.plan import Settings
from tfmap.source import Masks


def state(folder) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_ino) for path in folder.iterdir()}


def bytes_of(folder) -> dict[str, bytes]:
    return {name: data for name, (data, _) in state(folder).items()}


def test_a_shard_that_is_there_is_kept(annotated, tmp_path):
    shard = shard_of(annotated)
    first, before = shards.make(shard, tmp_path), state(tmp_path)
    assert shards.make(shard, tmp_path) == first
    assert state(tmp_path) == before  # the very files, not equal ones


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: os.remove(folder / "train-00000-of-00001.tfrecord"),
        lambda folder: os.remove(folder / "train-00000-of-00001.npz"),
        lambda folder: os.truncate(folder / "train-00000-of-00001.tfrecord", 1000),
        lambda folder: os.truncate(folder / "train-00000-of-00001.npz", 1000),
        lambda folder: flip(folder / "train-00000-of-00001.tfrecord"),
    ],
)
def test_a_shard_that_is_harmed_is_made_anew(annotated, tmp_path, harm):
    shard = shard_of(annotated)
    first, before = shards.make(shard, tmp_path), bytes_of(tmp_path)
    harm(tmp_path)
    assert shards.make(shard, tmp_path) == first
    assert bytes_of(tmp_path) == before


def test_another_mask_is_noticed(annotated, tmp_path):
    shard = shard_of(annotated)
    first = shards.make(shard, tmp_path)
    shard.split.masks.items[[0, 1]] = shard.split.masks.items[[1, 0]]
    shards_again = shards.make(shard, tmp_path)
    assert shards_again["shard"]["plan"] == first["shard"]["plan"]
    assert shards_again["shard"]["sha256"] != first["shard"]["sha256"] or shards_again["skipped"]


def test_a_mask_that_is_gone_is_noticed(annotated, tmp_path):
    shard = shard_of(annotated)
    shards.make(shard, tmp_path)
    made = shards.make(replace(shard, split=replace(shard.split, masks=Masks(shard.split.masks.items, gone))), tmp_path)
    assert made["shard"]["records"] == 0
    assert {reason for _, reason in made["skipped"]} == {"the mask is gone"}


def gone(item: int) -> np.ndarray:
    raise OSError("the mask is gone")


def test_other_settings_are_noticed(annotated, tmp_path):
    first = shards.make(shard_of(annotated), tmp_path)
    assert shards.make(shard_of(annotated, max_side=50), tmp_path)["shard"]["sha256"] != first["shard"]["sha256"]


def test_a_picture_that_fails_is_left_out_and_told_and_tried_again(annotated, tmp_path):
    shard = shard_of(annotated)
    good = shard.split.images[4]
    shard.split.images[4] = str(tmp_path / "gone.jpg")
    made = shards.make(shard, tmp_path)
    assert made["skipped"] == [[shard.split.ids[4], "No such file or directory"]]
    assert made["shard"]["records"] == 11
    shard.split.images[4] = good
    assert shards.make(shard, tmp_path)["shard"]["records"] == 12


def test_counts_are_those_of_the_classes(kinds, tmp_path):
    made = shards.make(shard_of(kinds["encoded"]), tmp_path)
    assert made["counts"] == np.bincount(kinds["encoded"].split("train").labels).tolist()


def test_the_settings_have_the_defaults_of_the_stage():
    import inspect

    from tfmap.prepare import prepare

    parameters = inspect.signature(prepare).parameters
    for name, value in vars(Settings()).items():
        assert parameters[name].default == value
