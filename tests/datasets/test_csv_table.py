from __future__ import annotations

import numpy as np
import pytest

from tfmap.datasets import load
from tfmap.errors import InputError


@pytest.fixture
def table(fill):
    """Write a table beside ten photographs p/0.jpg ... p/9.jpg; returns its path."""

    def write(text, name="table.csv"):
        folder = fill({f"p/{i}.jpg": i for i in range(10)})
        (folder / name).write_text(text, encoding="utf-8")
        return str(folder / name)

    return write


def rows(labels, header="path,label"):
    return header + "\n" + "".join(f"p/{i}.jpg,{label}\n" for i, label in enumerate(labels))


def test_paths_are_relative_to_the_table(table):
    source = load(table(rows("aabbaabbab")))
    assert source.classes == ("a", "b")
    assert len(source) == 10
    assert source.split("train").labels.dtype == np.int32
    by_name = {name[-5]: source.classes[label] for split in source.splits.values()
               for name, label in zip(split.ids, split.labels, strict=True)}  # fmt: skip
    assert by_name == dict(zip("0123456789", "aabbaabbab", strict=True))


def test_a_folder_with_one_table_is_read_as_a_table(table, fill):
    table(rows("aabbaabbab"))
    folder = fill({})
    for path in list(folder.glob("p/*")):
        path.rename(folder / path.name)
    (folder / "p").rmdir()
    (folder / "table.csv").write_text(rows("aabbaabbab").replace("p/", ""))
    assert load(str(folder)).classes == ("a", "b")
    (folder / "other.csv").write_text("name,size\n")  # without the columns it is no reading
    assert load(str(folder), format="csv").classes == ("a", "b")


def test_a_table_beside_class_folders_is_ambiguous(table):
    import os

    folder = os.path.dirname(table(rows("aabbaabbab")))
    with pytest.raises(
        InputError, match=r"can be read as folder or csv\. Say which with datasets.format, or give the CSV"
    ):
        load(folder)
    assert load(folder, format="csv").classes == ("a", "b")


def test_own_columns_and_splits(table):
    splits = ["train", "train", "train", "train", "val", "val", "valid", "Test", "test", "test"]
    text = "file;x\n".replace(";", ",") and "file,kind,part\n"
    text += "".join(f"p/{i}.jpg,{'ab'[i % 2]},{split}\n" for i, split in enumerate(splits))
    source = load(table(text), path_column="file", label_column="kind", split_column="part")
    assert {part: len(split) for part, split in source.splits.items()} == {"train": 4, "val": 3, "test": 3}


def test_a_byte_order_mark_and_quotes(table):
    source = load(table("\ufeff" + rows(['"a, x"'] * 5 + ["b"] * 5)))
    assert source.classes == ("a, x", "b")


def test_several_labels_in_one_cell(table):
    source = load(table(rows(["a|b", "a", "b", " c | a ", "b|b", "a", "b", "c", "a", "b"])), val_fraction=0)
    labels = source.split("train").labels
    assert source.multi_label
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels[:5], [[1, 1, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 0]])


def test_several_labels_in_several_rows(table):
    source = load(table(rows("aabbaabbab") + "p/0.jpg,b\np/1.jpg,a\n"), val_fraction=0)
    labels = source.split("train").labels
    assert labels.shape == (10, 2)
    np.testing.assert_array_equal(labels[:2], [[1, 1], [1, 0]])


def test_another_separator_or_none(table):
    text = rows(["a;b"] + ["a"] * 4 + ["b|x"] * 5)
    assert load(table(text), label_separator=";").classes == ("a", "b", "b|x")
    source = load(table(text), label_separator="", val_fraction=0)
    assert source.classes == ("a", "a;b", "b|x")
    assert not source.multi_label


def test_several_labels_where_one_was_promised(table):
    with pytest.raises(
        InputError, match=r"datasets.multi_label is false, but 1 pictures of .* have no label or several"
    ):
        load(table(rows(["a|b", "a", "b"])), multi_label=False)


def test_wrong_column(table):
    with pytest.raises(
        InputError, match=r"no column 'label' \(datasets.label_column\)\. Its columns: path, labels\. Did"
    ):
        load(table(rows("ab", header="path,labels")))
    with pytest.raises(InputError, match=r"no column 'file' \(datasets.path_column\)\. Its columns: path, label\."):
        load(table(rows("ab")), path_column="file")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.csv does not exist"):
        load(str(tmp_path / "none.csv"))
    with pytest.raises(FileNotFoundError, match="none.csv does not exist"):
        load(str(tmp_path / "none.csv"), format="csv")


@pytest.mark.parametrize(
    "text", ["path,label\n,a\n", "path,label\np/0.jpg,\n", "path,label\np/0.jpg,a|\n", "path,label\np/0.jpg\n"]
)
def test_empty_cells(table, text):
    with pytest.raises(InputError, match="line 2: the path or the label is empty"):
        load(table(text))


def test_no_rows(table):
    with pytest.raises(InputError, match="has no rows"):
        load(table("path,label\n"))


def test_unknown_split(table):
    with pytest.raises(InputError, match=r"line 2: unknown split 'holdout'\. Known: train, training, val"):
        load(table("path,label,split\np/0.jpg,a,holdout\n"))


def test_one_picture_in_two_splits(table):
    with pytest.raises(InputError, match=r"line 3: p/0.jpg stands in two splits"):
        load(table("path,label,split\np/0.jpg,a,train\np/0.jpg,b,test\n"))


def test_no_text(table):
    path = table("")
    with open(path, "wb") as file:
        file.write(b"path,label\n\xff\xfe,a\n")
    with pytest.raises(InputError, match="is no CSV text in UTF-8"):
        load(path)


@pytest.mark.parametrize("label", ["../../etc", "a/b", '"a\nb"'])
def test_a_label_like_a_path_or_with_a_line_break(table, label):
    with pytest.raises(InputError, match=r"cannot be a class name \(a label in .*table.csv\)"):
        load(table(rows([label, "b"])))


def test_rows_of_missing_pictures_are_skipped(table):
    source = load(table(rows("aabbaabbab") + "p/99.jpg,a\n"))
    assert [skipped.reason for skipped in source.skipped] == ["No such file or directory"]


def test_none_or_many_tables(table, fill):
    table(rows("ab"))
    with pytest.raises(InputError, match=r"expected one CSV file with columns path and kind in .*, found none\."):
        load(str(fill({})), format="csv", label_column="kind")
    table(rows("ab"), name="second.csv")
    with pytest.raises(InputError, match=r"found second.csv, table.csv\. Give the CSV file itself as source"):
        load(str(fill({})), format="csv")
