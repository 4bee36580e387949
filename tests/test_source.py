from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from tfmap.source import Boxes, Masks, Split


def boxes_of(counts: list[int]) -> Boxes:
    """Boxes whose first number is that of their picture."""
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    total = int(starts[-1])
    table = np.zeros((total, 4), np.float32)
    table[:, 0] = np.repeat(np.arange(len(counts)), counts)
    table[:, 1] = np.arange(total)
    flags = np.arange(total) % 2 == 0
    return Boxes(starts, table, np.arange(total, dtype=np.int32), flags, ~flags)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.data())
def test_the_boxes_of_chosen_pictures_are_theirs(counts, data):
    boxes = boxes_of(counts)
    chosen = np.array(data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=10)), np.int64)
    taken = boxes.take(chosen)
    assert len(taken) == len(chosen)
    for place, picture in enumerate(chosen):
        for name in ("boxes", "classes", "crowd", "difficult"):
            there, here = getattr(taken, name)[taken.rows(place)], getattr(boxes, name)[boxes.rows(picture)]
            np.testing.assert_array_equal(there, here)


def test_a_part_of_a_split_keeps_its_boxes_and_masks():
    ids = np.array(["a", "b", "c"], object)
    masks = Masks(np.array([1, 2, 3], object), lambda item: np.full((2, 2), item, np.uint8))
    split = Split("path", ids, np.arange(3), ids, np.zeros(3, bool), boxes_of([1, 0, 2]), masks)
    part = split.take(np.array([2, 0]))
    assert len(part) == len(part.boxes) == len(part.masks) == 2
    assert list(part.ids) == ["c", "a"]
    assert part.masks.read(0).max() == 3
    np.testing.assert_array_equal(part.boxes.boxes[:, 0], [2, 2, 0])
