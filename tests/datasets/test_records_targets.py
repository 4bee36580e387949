"""Boxes and masks from prepared sets, through `load`."""

from __future__ import annotations

import numpy as np
import pytest

from tfmap.datasets import load
from tfmap.errors import InputError
from tfmap.prepare import prepare


def boxed(fill):
    """A folder of four photographs with a CSV table of boxes."""
    folder = fill({f"{row}.jpg": row for row in range(4)})
    rows = [f"{row}.jpg,{x},{10 + row},{x + 20},{50 + row},{'ab'[x % 2]}" for row in range(4) for x in (5, 30)]
    (folder / "boxes.csv").write_text("path,xmin,ymin,xmax,ymax,label\n" + "\n".join(rows) + "\n")
    return folder / "boxes.csv"


def test_boxes(fill, tmp_path):
    source = load(str(boxed(fill)), target="boxes", val_fraction=0.0)
    prepare(source, tmp_path / "out", workers=1)
    read = load(str(tmp_path / "out"), val_fraction=0.0)
    was, now = source.split("train"), read.split("train")
    assert (read.target, read.classes, now.kind) == ("boxes", source.classes, "record")
    for row, name in enumerate(was.ids):
        (new,) = [place for place, other in enumerate(now.ids) if name.endswith(f"/{other}")]
        np.testing.assert_array_equal(was.boxes.take(np.array([row])).boxes, now.boxes.take(np.array([new])).boxes)
        np.testing.assert_array_equal(was.labels[row], now.labels[new])


def test_boxes_as_labels_and_what_is_not_there(fill, tmp_path):
    prepare(load(str(boxed(fill)), target="boxes", val_fraction=0.0), tmp_path / "out", workers=1)
    read = load(str(tmp_path / "out"), target="label", val_fraction=0.0)
    assert (read.target, read.multi_label, read.split("train").boxes) == ("label", True, None)
    with pytest.raises(InputError, match=r"datasets.target is mask, but .*out was prepared with boxes\."):
        load(str(tmp_path / "out"), target="mask")
