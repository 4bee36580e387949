from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tfmap.datasets import load, samples


def test_names():
    assert samples.names() == ["cells", "membrane", "nuclei", "trash"]


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_cells_are_boxes_in_three_parts():
    source = load("sample:cells")
    assert (source.target, source.classes) == ("boxes", ("Platelets", "RBC", "WBC"))
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 160, "val": 48, "test": 48}
    assert sum(len(split.boxes.boxes) for split in source.splits.values()) == 3519
    for split in source.splits.values():
        low, high = split.boxes.boxes[:, :2], split.boxes.boxes[:, 2:]
        assert (low >= 0).all()
        assert (high > low).all()
        assert (high <= (240, 320)).all()
    folder = samples.folder("cells")
    assert size(folder) <= 3_000_000
    assert "Copyright (c) 2017 shenggan" in (folder / "LICENSE").read_text()


def test_membranes_are_masks_of_two_classes():
    source = load("sample:membrane")
    assert (source.target, source.classes) == ("mask", ("cell", "membrane"))
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 12, "val": 3}
    for split in source.splits.values():
        for row, path in enumerate(split.images):
            with Image.open(path) as image:
                assert (image.format, image.mode, image.size) == ("JPEG", "L", (512, 512))
                pixels = np.asarray(image)
            mask = split.masks.read(row)
            assert set(np.unique(mask)) == {0, 1}
            assert pixels[mask == 1].mean() < pixels[mask == 0].mean() - 20  # membranes are dark
    folder = samples.folder("membrane")
    assert size(folder) <= 2_000_000
    assert "Copyright (c) 2019 zhixuhao" in (folder / "LICENSE").read_text()


def test_nuclei_are_objects_with_their_pixels():
    source = load("sample:nuclei", target="instances")
    assert (source.target, source.classes) == ("instances", ("nucleus",))
    assert {name: len(split) for name, split in source.splits.items()} == {"train": 36, "val": 12}
    assert sum(len(split.boxes.boxes) for split in source.splits.values()) == 914
    for split in source.splits.values():
        for row, path in enumerate(split.images):
            with Image.open(path) as image:
                assert (image.format, image.mode, image.size) == ("JPEG", "L", (256, 256))
                pixels = np.asarray(image)
            mask, boxes = split.masks.read(row), split.boxes.boxes[split.boxes.rows(row)]
            assert set(np.unique(mask)) == set(range(len(boxes) + 1))
            assert pixels[mask > 0].mean() > 2 * pixels[mask == 0].mean()  # nuclei shine
            for number, box in enumerate(boxes, 1):
                rows, columns = np.nonzero(mask == number)
                np.testing.assert_array_equal(box, [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
    folder = samples.folder("nuclei")
    assert size(folder) <= 400_000
    assert "CC0 1.0" in (folder / "LICENSE").read_text()


def test_the_package_stays_small():
    package = Path(samples.__file__).parents[1]
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert sum(path.stat().st_size for path in files) < 12_000_000


def test_trash_is_small_licensed_and_plain():
    folder = samples.folder("trash")
    files = sorted(folder.glob("*/*.jpg"))
    assert len(files) == 1137
    assert size(folder) <= 6_000_000
    assert "MIT License" in (folder / "LICENSE").read_text()
    assert "Copyright (c) 2017 Gary Thung" in (folder / "SOURCE.md").read_text()
    for path in files[::100]:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (144, 192))
            assert "progressive" not in image.info
