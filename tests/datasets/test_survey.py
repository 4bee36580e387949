from __future__ import annotations

import numpy as np
import pytest

from tfmap.datasets import load
from tfmap.datasets.survey import survey, survey_loaded
from tfmap.source import RECORD, Boxes, Masks, Source, Split


def two_classes(**more):
    return {**{f"{label}/{i}.jpg": 4 * j + i for j, label in enumerate("ab") for i in range(4)}, **more}


def test_parts_are_those_of_load(fill):
    folder = str(fill(two_classes(**{"a/copy.jpg": 0, "a/broken.jpg": b"x"})))
    seen, source = survey(folder), load(folder)
    assert seen.refusals == ()
    for part, split in source.splits.items():
        assert set(seen.listing.ids[seen.parts == part]) == set(split.ids)
    left_out = {name.rsplit("/", 1)[1] for name in seen.listing.ids[seen.parts == ""]}
    assert left_out == {"copy.jpg", "broken.jpg"}


def test_every_refusal_is_told_and_the_given_parts_stay(fill):
    folder = fill({"train/a/1.jpg": 0, "val/a/1.jpg": 1, "val/b/.keep": b"", "train/b/.keep": b""})
    seen = survey(str(folder))
    assert len(seen.refusals) == 3  # two empty folders, one class
    assert sorted(seen.parts) == ["train", "val"]


def test_a_loaded_source_is_put_together_again(fill):
    source = load(str(fill(two_classes())))
    seen = survey_loaded(source)
    assert len(seen.listing) == len(source)
    assert all(verdict.hash for verdict in seen.verdicts)
    for part, split in source.splits.items():
        assert list(seen.listing.ids[seen.parts == part]) == list(split.ids)


@pytest.fixture
def boxed(glass):
    """A source of two splits with boxes and masks."""

    def split(first, count):
        images = np.array([path.read_bytes() for path in glass[first : first + count]] + [None], object)[:-1]
        ids = np.array([f"{first + i}" for i in range(count)], object)
        rows = np.arange(2 * count)
        boxes = Boxes(
            2 * np.arange(count + 1), np.stack([rows] * 4, 1).astype("float32") + first, rows % 2, rows < 0, rows < 0
        )
        masks = Masks(ids, int)
        return Split("encoded", images, np.ones((count, 2), "float32"), ids, np.zeros(count, bool), boxes, masks)

    return Source("boxed", ("a", "b"), {"train": split(0, 3), "val": split(10, 2)}, target="boxes")


def test_boxes_and_masks_keep_their_pictures(boxed):
    listing = survey_loaded(boxed).listing
    assert list(listing.boxes.starts) == [0, 2, 4, 6, 8, 10]
    assert listing.boxes.boxes[listing.boxes.rows(3)].tolist() == [[10] * 4, [11] * 4]
    assert [listing.masks.read(i) for i in range(5)] == [0, 1, 2, 10, 11]


def test_places_in_shards_are_counted_on():
    from tfmap.datasets import survey as module

    def split(shards):
        places = np.zeros(2, RECORD)
        places["shard"] = [0, len(shards) - 1]
        return Split("record", places, np.zeros(2, int), np.zeros(2, object), np.zeros(2, bool), shards=shards)

    assert module._images([split(("x", "y")), split(("z",))])["shard"].tolist() == [0, 1, 2, 2]
