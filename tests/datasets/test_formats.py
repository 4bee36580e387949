"""One set of boxes in every format: the same Source comes back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.datasets import formats
from tfmap.datasets import load
from tfmap.errors import InputError
from tfmap.pixels import read


def boxes_of(source):
    """Picture -> {class name: sorted boxes}."""
    found = {}
    for split in source.splits.values():
        for index, name in enumerate(split.ids):
            rows = split.boxes.rows(index)
            named = [source.classes[number] for number in split.boxes.classes[rows]]
            found[name.split("/")[-1]] = sorted(zip(named, split.boxes.boxes[rows].tolist(), strict=True))
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Format -> the data set in it."""
    root = tmp_path_factory.mktemp("formats")
    return {name: write(root / name) for name, write in formats.FORMATS.items()}


@pytest.fixture(scope="module")
def expected():
    """The boxes as VOC's files have them, but the two of no area."""
    return {
        f"{stem}.jpg": sorted((name, [y0, x0, y1, x1]) for name, x0, y0, x1, y1 in objects if x1 > x0)
        for _, stem, objects in formats.rows()
    }


@pytest.mark.parametrize("format", formats.FORMATS)
def test_every_format_gives_the_same_boxes(written, expected, format):
    source = load(str(written[format]))
    assert source.target == "boxes"
    assert source.classes == formats.CLASSES
    assert not source.multi_label
    assert source.skipped == ()
    assert {part: len(split) for part, split in source.splits.items()} == {"train": 3, "val": 2, "test": 1}
    found = boxes_of(source)
    assert found.keys() == expected.keys()
    for picture, objects in expected.items():
        assert [name for name, _ in found[picture]] == [name for name, _ in objects]
        # six digits of a share of 640 pixels
        np.testing.assert_allclose([b for _, b in found[picture]], [b for _, b in objects], atol=1e-3)


@pytest.mark.parametrize("format", formats.FORMATS)
def test_boxes_of_no_area_are_listed_by_picture(written, format):
    found = load(str(written[format])).findings["bad annotation"]
    assert len(found) == 2
    for stem in ("BloodImage_00338", "BloodImage_00343"):
        assert any(stem in line and "(RBC) has no area" in line for line in found)


@pytest.mark.parametrize("format", formats.FORMATS)
def test_labels_are_the_classes_that_occur(written, format):
    source = load(str(written[format]))
    for split in source.splits.values():
        assert split.labels.dtype == np.float32
        assert split.boxes.boxes.dtype == np.float32
        assert split.boxes.classes.dtype == np.int32
        for index, label in enumerate(split.labels):
            assert set(np.flatnonzero(label)) == set(split.boxes.classes[split.boxes.rows(index)])


@pytest.mark.parametrize("format", formats.FORMATS)
def test_as_labels(written, expected, format):
    source = load(str(written[format]), target="label")
    assert source.target == "label"
    assert source.multi_label
    for split in source.splits.values():
        assert split.boxes is None
        for name, label in zip(split.ids, split.labels, strict=True):
            assert {source.classes[k] for k in np.flatnonzero(label)} == {k for k, _ in expected[name.split("/")[-1]]}
    with pytest.raises(
        InputError, match="datasets.multi_label is false, but . pictures of .* have no label or several"
    ):
        load(str(written[format]), target="label", multi_label=False)


@pytest.mark.parametrize("format", formats.FORMATS)
def test_one_label_a_picture_for_boxes_is_refused(written, format):
    with pytest.raises(
        InputError, match=r"datasets.multi_label is set, but .* has boxes. Remove it, or set datasets.ta"
    ):
        load(str(written[format]), multi_label=True)


@pytest.mark.parametrize("format", ["coco", "coco_roboflow", "yolo_outlines"])
def test_outlines_are_drawn_small_on_large(written, expected, format):
    source = load(str(written[format]), target="mask")
    assert source.target == "mask"
    assert source.classes == ("background", *formats.CLASSES)
    for split in source.splits.values():
        for index, name in enumerate(split.ids):
            mask = split.masks.read(index)
            assert mask.dtype == np.uint8
            assert mask.shape == read(name).shape[:2]
            want = np.zeros(mask.shape, np.uint8)
            objects = expected[name.split("/")[-1]]
            for kind, box in sorted(objects, key=lambda item: -area(item[1])):
                y0, x0, y1, x1 = map(int, box)
                want[y0:y1, x0:x1] = formats.CLASSES.index(kind) + 1
            assert (mask == want).mean() > 0.995
            assert set(np.flatnonzero(split.labels[index])) == {0, *(formats.CLASSES.index(k) + 1 for k, _ in objects)}


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def test_boxes_without_outlines_are_no_masks(written):
    with pytest.raises(InputError, match="yolo has no outlines of objects, so datasets.target cannot be mask"):
        load(str(written["yolo"]), target="mask")
    with pytest.raises(InputError, match=r"has no masks \(SegmentationClass/\), so datasets.target cannot be mask"):
        load(str(written["voc"]), target="mask")


@pytest.mark.parametrize(
    ("format", "target"), [("folder", "boxes"), ("csv", "mask"), ("masks", "label"), ("npz", "mask")]
)
def test_a_target_that_a_format_does_not_have(tmp_path, format, target):
    with pytest.raises(InputError, match=f"datasets.target is {target}, but .*, read as {format}, only has "):
        load(str(tmp_path), format=format, target=target)


def test_two_formats_in_one_folder_are_both_listed(written, tmp_path):
    import shutil

    folder = shutil.copytree(written["coco_roboflow"], tmp_path / "both")
    for place in ("data.yaml", "train/labels", "valid/labels", "train/images", "valid/images", "test/images"):
        source = written["yolo_outlines"] / place
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, folder / place)
    with pytest.raises(InputError, match=r"both can be read as coco or yolo\. Say which with datasets.format"):
        load(str(folder))
    assert load(str(folder), format="coco").target == "boxes"
    assert load(str(folder), format="yolo").target == "boxes"


def test_given_files_are_read_by_their_suffix(written):
    assert load(str(written["yolo"] / "data.yaml")).target == "boxes"
    assert load(str(written["csv"] / "boxes.csv")).target == "boxes"
    alone = load(str(written["coco"] / "annotations" / "instances_train2017.json"))
    assert alone.target == "boxes"
    assert len(alone) == 3
    assert set(alone.splits) <= {"train", "val"}
