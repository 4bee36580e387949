"""One number for a data set: the same wherever it lies, another as soon as anything is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np

from tfmap.datasets import load

SETTINGS = {"val_fraction": 0.0, "test_fraction": 0.0}
DATA = Path(__file__).parent / "data"


def places():
    return {f"{label}/{i}.jpg": 4 * j + i for j, label in enumerate("ab") for i in range(4)}


def test_names_of_files_and_folders_above_do_not_count(fill, tmp_path):
    folder = fill(places())
    before = load(str(folder), **SETTINGS).digest
    assert re.fullmatch("[0-9a-f]{64}", before)
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    (moved / "a" / "0.jpg").rename(moved / "a" / "zzz.jpg")
    assert load(str(moved), **SETTINGS).digest == before


def test_pictures_labels_classes_and_splits_count(fill):
    folder = fill(places())
    found = [load(str(folder), **SETTINGS).digest]
    (folder / "a" / "0.jpg").rename(folder / "b" / "9.jpg")
    found.append(load(str(folder), **SETTINGS).digest)
    (folder / "b" / "9.jpg").unlink()
    found.append(load(str(folder), **SETTINGS).digest)
    (folder / "b").rename(folder / "c")
    found.append(load(str(folder), **SETTINGS).digest)
    found.append(load(str(folder), val_fraction=0.4, test_fraction=0.0).digest)
    assert len(set(found)) == 5


def test_boxes_count(tmp_path):
    folder = tmp_path / "bccd"
    shutil.copytree(DATA / "bccd", folder)
    before = load(str(folder)).digest
    (annotation,) = (folder / "Annotations").glob("*00389.xml")
    text = annotation.read_text()
    first = re.search(r"<xmin>(\d+)</xmin>", text)
    annotation.write_text(text.replace(first[0], f"<xmin>{int(first[1]) + 1}</xmin>", 1))
    after = load(str(folder))
    assert after.digest != before
    assert len(np.concatenate([split.ids for split in after.splits.values()])) == 6


def test_a_prepared_set_is_the_same_data(fill, tmp_path):
    from tfmap.prepare import prepare

    source = load(str(fill(places())), **SETTINGS)
    prepare(source, str(tmp_path / "shards"))
    assert load(str(tmp_path / "shards"), **SETTINGS).digest == source.digest
