from __future__ import annotations

import numpy as np
import pytest

from tfmap.datasets import load
from tfmap.errors import InputError


@pytest.fixture
def table(fill):
    """Write a table beside six photographs p/0.jpg ... p/5.jpg; returns its path."""

    def write(text):
        folder = fill({f"p/{i}.jpg": i for i in range(6)})
        (folder / "table.csv").write_text(text)
        return str(folder / "table.csv")

    return write


def boxes(source, name):
    split = source.split("train")
    index = [path[-5:] for path in split.ids].index(name)
    rows = split.boxes.rows(index)
    return split.boxes.boxes[rows].tolist(), [source.classes[k] for k in split.boxes.classes[rows]]


@pytest.mark.parametrize(
    "text",
    [
        "path,xmin,ymin,xmax,ymax,label\np/0.jpg,1,2,30,40,b\np/0.jpg,5,6,20,22.5,a\n",
        "label,path,x1,y1,x2,y2\nb,p/0.jpg,1,2,30,40\na,p/0.jpg,5,6,20,22.5\n",
        "path,x,y,width,height,label\np/0.jpg,1,2,29,38,b\np/0.jpg,5,6,15,16.5,a\n",
    ],
)
def test_three_ways_to_write_a_box(table, text):
    source = load(table(text), val_fraction=0)
    assert source.target == "boxes"
    assert source.classes == ("a", "b")
    assert boxes(source, "0.jpg") == ([[2, 1, 40, 30], [6, 5, 22.5, 20]], ["b", "a"])


def test_own_columns(table):
    path = table("filename,width,height,class,xmin,ymin,xmax,ymax\np/0.jpg,9,9,a,1,2,30,40\n")
    source = load(path, path_column="filename", label_column="class", val_fraction=0)
    assert source.classes == ("a",)
    assert source.findings["annotation of another size than its picture"][0].endswith("annotated as 9 x 9")


def test_a_row_with_a_path_alone_is_a_picture_without_objects(table):
    source = load(table("path,xmin,ymin,xmax,ymax,label\np/0.jpg,1,2,30,40,b\np/1.jpg,,,,,\n"), val_fraction=0)
    assert len(source.split("train")) == 2
    assert boxes(source, "1.jpg") == ([], [])
    assert "bad annotation" not in source.findings


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("p/1.jpg,1,2,3,4,", "table.csv, line 3: p/1.jpg: '' cannot be a class name"),
        ("p/1.jpg,1,2,3,4,a/b", "table.csv, line 3: p/1.jpg: 'a/b' cannot be a class name"),
        ("p/1.jpg,1,2,x,4,b", "1.jpg: box 1 (b) has coordinates that are no numbers"),
        ("p/1.jpg,1,2,,4,b", "1.jpg: box 1 (b) has coordinates that are no numbers"),
        ("p/1.jpg,1,2", "table.csv, line 3: p/1.jpg: '' cannot be a class name"),
        ("p/1.jpg,5,5,5,9,b", "1.jpg: box 1 (b) has no area"),
    ],
)
def test_bad_rows_are_listed(table, row, line):
    source = load(table(f"path,xmin,ymin,xmax,ymax,label\np/0.jpg,1,2,30,40,b\n{row}\n"), val_fraction=0)
    assert len(source) == 2
    (found,) = source.findings["bad annotation"]
    assert line in found


def test_splits(table):
    rows = [f"p/{i}.jpg,1,2,30,40,b,{part}" for i, part in enumerate(["train", "train", "val", "val", "test", "test"])]
    source = load(table("path,xmin,ymin,xmax,ymax,label,split\n" + "\n".join(rows) + "\n"))
    assert {part: len(split) for part, split in source.splits.items()} == {"train": 2, "val": 2, "test": 2}
    with pytest.raises(InputError, match="table.csv, line 3: its picture stands in two splits"):
        load(table("path,xmin,ymin,xmax,ymax,label,split\np/0.jpg,1,2,3,4,b,train\np/0.jpg,1,2,3,4,b,val\n"))


def test_as_labels(table):
    source = load(
        table("path,x1,y1,x2,y2,label\np/0.jpg,1,2,30,40,b\np/1.jpg,1,2,9,9,a\n"), target="label", val_fraction=0
    )
    assert source.multi_label
    np.testing.assert_array_equal(source.split("train").labels, [[0, 1], [1, 0]])
    single = load(source.id, target="label", multi_label=False, val_fraction=0)
    np.testing.assert_array_equal(single.split("train").labels, [1, 0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "path,label\np/0.jpg,a\n",
            r"has no columns of boxes, so datasets.target cannot be boxes\. Expected xmin, ymin",
        ),
        ("path,xmin,ymin,xmax,ymax,label\n,1,2,3,4,a\n", "table.csv, line 2: the path is empty"),
        ("path,xmin,ymin,xmax,ymax\n", r"table.csv has no column 'label' \(datasets.label_column\)"),
        ("path,xmin,ymin,xmax,ymax,label\n", "table.csv names no pictures"),
        ("path,xmin,ymin,xmax,ymax,label\np/0.jpg,1,2,3,4,\n", "needs at least one class to find, found none"),
    ],
)
def test_a_table_that_cannot_be_used(table, text, reason):
    with pytest.raises(InputError, match=reason):
        load(table(text), target="boxes")


def test_no_text(table):
    path = table("")
    with open(path, "wb") as file:
        file.write(b"path,xmin,ymin,xmax,ymax,label\n\xff\xfe,1,2,3,4,a\n")
    with pytest.raises(InputError, match="is no CSV text in UTF-8"):
        load(path)
