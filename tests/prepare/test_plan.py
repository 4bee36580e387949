from __future__ import annotations

import os
import shutil
from dataclasses import replace

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from tests.prepare.conftest import objects
from tfmap.datasets import load
from tfmap.prepare import plan, prepare
from tfmap.prepare.plan import Settings
from tfmap.source import Boxes, Source, Split


def shards_of(source: Source, **settings) -> list[plan.Shard]:
    wanted = Settings(**settings)
    looked, lost = plan.look(source, wanted, 2)
    assert not lost
    return [shard for rows in looked for shard in plan.shards(rows, len(source.classes), wanted)]


def of_bytes(sizes: list[int]) -> Source:
    """A source of encoded "pictures" of these sizes in bytes."""
    images = objects([os.urandom(8) + bytes(size) for size in sizes])
    names = objects([f"{row}.jpg" for row in range(len(sizes))])
    split = Split("encoded", images, np.zeros(len(sizes), np.int32), names, np.zeros(len(sizes), bool))
    return Source("bytes", ("a", "b"), {"train": split})


@hypothesis.given(st.lists(st.integers(0, 700_000), min_size=1, max_size=12), st.integers(0, 3))
def test_every_picture_goes_in_one_shard_and_shards_are_alike(sizes, seed):
    source = of_bytes(sizes)
    shards = shards_of(source, shard_mb=1, seed=seed)
    assert sorted(name for shard in shards for name in shard.names) == sorted(source.split("train").ids)
    lengths = [len(shard) for shard in shards]
    assert max(lengths) - min(lengths) <= 1
    assert len(shards) == min(len(sizes), -(-sum(size + 8 for size in sizes) // 2**20))
    assert [shard.name for shard in shards] == [
        f"train-{number:05}-of-{len(shards):05}" for number in range(len(shards))
    ]


@pytest.mark.parametrize("kind", ["path", "encoded", "pixels"])
def test_the_order_is_mixed_and_does_not_follow_that_of_the_source(kinds, kind):
    source = kinds[kind]
    back = replace(source, splits={"train": source.split("train").take(np.arange(30)[::-1])})
    (shard,), (same,), (other,) = shards_of(source), shards_of(back), shards_of(source, seed=1)
    assert shard.names.tolist() == same.names.tolist()
    assert plan.key(shard) == plan.key(same)
    assert sorted(other.names) == sorted(shard.names)
    assert other.names.tolist() != shard.names.tolist()
    changes = np.count_nonzero(np.diff(shard.split.labels))
    assert changes > 8  # sorted by class there would be two


def test_the_same_pictures_elsewhere_give_the_same_shards(pictures, tmp_path):
    here = shards_of(load(str(pictures)))
    shutil.copytree(pictures, tmp_path / "other" / "place")
    there = shards_of(load(str(tmp_path / "other" / "place")))
    assert [plan.key(shard) for shard in here] == [plan.key(shard) for shard in there]
    assert all(name.count("/") == 1 for shard in here for name in shard.names)


def test_an_edited_picture_changes_its_own_shard_only(jpegs):
    images = objects([path.read_bytes() + bytes(100_000) for path in jpegs[0]])
    names = objects([str(row) for row in range(60)])
    source = Source("s", ("a", "b", "c"), {"train": Split("encoded", images, jpegs[1], names, np.zeros(60, bool))})
    before = shards_of(source, shard_mb=1)
    images[17] += b"!"
    after = shards_of(source, shard_mb=1)
    changed = [b.name for b, a in zip(before, after, strict=True) if plan.key(b) != plan.key(a)]
    assert len(before) > 5
    assert changed == [shard.name for shard in before if "17" in shard.names]


def changed_boxes(boxes: Boxes) -> Boxes:
    moved = boxes.boxes.copy()
    moved[0, 0] += 1
    return replace(boxes, boxes=moved)


@pytest.mark.parametrize(
    "change",
    [
        lambda split: replace(split, labels=1 - split.labels),
        lambda split: replace(split, odd=~split.odd),
        lambda split: replace(split, ids=split.ids + "!"),
        lambda split: replace(split, boxes=changed_boxes(split.boxes)),
        lambda split: replace(split, boxes=replace(split.boxes, crowd=~split.boxes.crowd)),
    ],
)
def test_whatever_goes_into_a_shard_changes_its_key(annotated, change):
    (shard,) = shards_of(annotated)
    changed = change(shard.split)
    assert plan.key(replace(shard, split=changed, names=changed.ids)) != plan.key(replace(shard, names=shard.split.ids))


@pytest.mark.parametrize("setting", [{"max_side": 9}, {"encode": "png"}, {"quality": 5}])
def test_settings_change_the_key(annotated, setting):
    assert plan.key(shards_of(annotated)[0]) != plan.key(shards_of(annotated, **setting)[0])


def test_a_file_that_is_gone_is_told(pictures):
    source = load(str(pictures), val_fraction=0.0)
    gone = source.split("train").ids[3]
    os.remove(gone)
    looked, lost = plan.look(source, Settings(), 1)
    assert [(one.path, one.reason) for one in lost] == [(gone, "No such file or directory")]
    assert len(looked[0].names) == len(looked[0].order) == 59


def test_a_record_that_is_gone_is_told(kinds, tmp_path):
    prepare(kinds["encoded"], tmp_path / "out", workers=1)
    source = load(str(tmp_path / "out"), val_fraction=0.0)
    last = source.split("train").ids[-1]
    os.truncate(source.split("train").shards[0], os.path.getsize(source.split("train").shards[0]) - 500)
    looked, lost = plan.look(source, Settings(), 1)
    assert [one.path for one in lost] == [last]
    assert "ends before byte" in lost[0].reason
    assert len(looked[0].names) == 29


def test_a_picture_edited_since_it_was_loaded_is_looked_at_again(pictures, photo):
    from PIL import Image

    source = load(str(pictures), val_fraction=0.0)
    edited = source.split("train").ids[3]
    Image.fromarray(photo).convert("CMYK").save(edited, "JPEG")
    (shard,) = shards_of(source)
    assert shard.split.odd.sum() == 1
    assert shard.split.images[shard.split.odd.argmax()] == edited
