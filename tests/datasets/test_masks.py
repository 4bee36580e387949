from __future__ import annotations

import os
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.datasets import formats
from tfmap.datasets import load, masks, scan
from tfmap.errors import InputError
from tfmap.pixels import read_values


@pytest.fixture
def make(tmp_path):
    """Write pictures of noise and the masks of a list, below `pictures` and `masks`."""
    random = np.random.default_rng(0)

    def write(values, pictures="images", named="masks", suffix="", mode=None, folder=""):
        for index, mask in enumerate(values):
            for name in (pictures, named):
                (tmp_path / folder / name).mkdir(parents=True, exist_ok=True)
            noise = random.integers(0, 256, (*mask.shape, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / folder / pictures / f"{index}.png")
            image = Image.fromarray(mask)
            image = image.convert(mode) if mode else image
            image.save(tmp_path / folder / named / f"{index}{suffix}.png")
        return str(tmp_path)

    return write


def half(low, high, size=(6, 8)):
    mask = np.full(size, low, np.uint8)
    mask[:, 3:] = high
    return mask


def of(source, index=0):
    return np.unique(source.split("train").masks.read(index))


def test_membranes():
    source = load(str(formats.MEMBRANE), val_fraction=0)
    assert source.target == "mask"
    assert source.classes == ("background", "foreground")
    assert [(item.path, item.reason) for item in source.skipped] == [(f"{formats.MEMBRANE}/test/0.png", "has no mask")]
    split = source.split("train")
    for index, name in enumerate(split.ids):
        want = np.asarray(Image.open(name.replace("image", "label"))) // 255
        np.testing.assert_array_equal(split.masks.read(index), want)
    assert split.labels.tolist() == [[1, 1]] * 3
    again = pickle.loads(pickle.dumps(split.masks))  # for another process
    np.testing.assert_array_equal(again.read(1), split.masks.read(1))


@pytest.mark.parametrize(
    ("pictures", "named"), [("imgs", "mask"), ("Images", "Labels"), ("image", "label"), ("img", "gt")]
)
@pytest.mark.parametrize("suffix", ["", "_mask", "-label", "_Seg"])
def test_names_of_folders_and_files(make, pictures, named, suffix):
    source = load(make([half(0, 1)] * 4, pictures, named, suffix), val_fraction=0)
    assert source.classes == ("0", "1")
    assert len(source) == 4
    assert source.skipped == ()


@pytest.mark.parametrize("above", [True, False])
def test_parts_above_or_below(make, above):
    for part in ("train", "valid", "test"):
        names = ("images", "masks") if above else (f"images/{part}", f"masks/{part}")
        path = make([half(0, 1)] * 2, *names, folder=part if above else "")
    source = load(path)
    assert {part: len(split) for part, split in source.splits.items()} == {"train": 2, "val": 2, "test": 2}


def test_classes_by_number_and_255_ignored(make):
    source = load(make([half(0, 2), half(1, 255), half(2, 1)]), val_fraction=0)
    assert source.classes == ("0", "1", "2")
    assert list(of(source, 0)) == [0, 2]
    assert list(of(source, 1)) == [1, 255]
    np.testing.assert_array_equal(source.split("train").labels, [[1, 0, 1], [0, 1, 0], [0, 1, 1]])


def test_another_void(make):
    source = load(make([half(0, 2), half(1, 9), half(2, 1)]), val_fraction=0, void=9)
    assert source.classes == ("0", "1", "2")
    assert list(of(source, 1)) == [1, 255]
    with pytest.raises(InputError, match="datasets.void must be from 0 to 255, received 256"):
        load("sample:trash", void=256)


def test_names_from_a_file(make, tmp_path):
    path = make([half(0, 1), half(1, 3)])
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar\ntree\n")
    source = load(path, val_fraction=0)
    assert source.classes == ("sky", "road", "car", "tree")
    assert source.findings["class without pictures"] == ("car",)


@pytest.mark.parametrize("mode", ["P", "1", "L"])
def test_0_and_255_are_two_classes_in_every_mode(make, mode):
    source = load(make([half(0, 255)] * 3, mode=mode), val_fraction=0)
    assert source.classes == ("background", "foreground")
    assert list(of(source)) == [0, 1]


def test_a_palette_is_read_by_its_numbers(tmp_path, make):
    path = make([half(0, 1)] * 3)
    for file in (tmp_path / "masks").iterdir():
        image = Image.open(file)
        image.putpalette([200, 10, 10, 10, 200, 10] + [0] * 762)
        image.save(file)
        assert set(np.unique(read_values(str(file)))) == {0, 1}
    assert load(path, val_fraction=0).classes == ("0", "1")


def test_one_broken_mask_makes_no_hundred_classes(make):
    source = load(make([half(0, 1)] * 5 + [half(0, 200)]), val_fraction=0)
    assert source.classes == ("0", "1")
    (skipped,) = source.skipped
    assert skipped.path.endswith("images/5.png")
    assert skipped.reason.endswith(
        "masks/5.png has unknown values: 200; the classes are 0 to 1 (name more in classes.txt)"
    )
    assert source.findings["unusable mask"] == (f"{skipped.path}: {skipped.reason}",)


def test_a_rare_class_next_to_the_others_is_one(make):
    source = load(make([half(0, 1)] * 4 + [half(2, 3)]), val_fraction=0)
    assert source.classes == ("0", "1", "2", "3")
    assert source.skipped == ()


def test_a_single_mask_with_a_foreground(make):
    assert load(make([half(0, 0)] * 5 + [half(0, 255)]), val_fraction=0).classes == ("background", "foreground")


def test_masks_that_cannot_be_used_are_listed(make, tmp_path):
    path = make([half(0, 1)] * 6)
    folder = tmp_path / "masks"
    Image.fromarray(half(0, 1, (8, 6))).save(folder / "1.png")
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:50])
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)).save(folder / "3.png")
    (folder / "4.png").unlink()
    Image.fromarray(half(0, 1)).save(folder / "99.png")
    source = load(path, val_fraction=0)
    said = {item.path.removeprefix(f"{tmp_path}/"): item.reason.replace(f"{tmp_path}/", "") for item in source.skipped}
    assert said.pop("images/1.png") == "its mask masks/1.png is of another size: 6 x 8 pixels, the picture 8 x 6"
    assert said.pop("images/2.png").startswith("its mask masks/2.png ")
    assert said.pop("images/3.png").startswith("its mask masks/3.png holds colours, not class numbers; save masks as P")
    assert said == {"images/4.png": "has no mask", "masks/99.png": "is the mask of no picture"}
    assert len(source) == 2


def test_equal_pictures_under_other_masks_are_a_conflict(make, tmp_path):
    path = make([half(0, 1), half(0, 1), half(0, 1), half(1, 0), half(0, 1)])
    for first, second in ((0, 1), (2, 3)):
        shutil.copyfile(tmp_path / "images" / f"{first}.png", tmp_path / "images" / f"{second}.png")
    source = load(path, val_fraction=0)
    assert [name[-5] for name in source.split("train").ids] == ["0", "4"]
    assert set(source.findings) == {"exact duplicates", "same picture under two labels"}


def test_verdicts_on_masks_are_kept(make, tmp_path, monkeypatch, own_cache_folder):
    path = make([half(0, 1)] * 3)
    for file in tmp_path.rglob("*.png"):
        os.utime(file, (1e9, 1e9))
    opened, judge = [], scan.judge_mask_file
    monkeypatch.setattr(scan, "judge_mask_file", lambda path: opened.append(path) or judge(path))
    first = load(path, val_fraction=0)
    assert len(opened) == 3
    second = load(path, val_fraction=0)
    assert len(opened) == 3
    np.testing.assert_array_equal(first.split("train").labels, second.split("train").labels)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([half(0, 0)] * 5, "have 1 classes, expected 2 to 255. Values in them: 0; 255 is ignored"),
        (
            [half(0, 0), half(3, 3), half(9, 9), half(7, 7), half(8, 8)],
            r"have 1 classes.* Values in them: 0, 3, 7, 8, 9;",
        ),
        ([np.arange(200, dtype=np.uint8).reshape(10, 20)] * 5, "hold 200 values: these are grey levels or soft edges"),
    ],
)
def test_values_that_tell_no_classes(make, values, reason):
    with pytest.raises(InputError, match=reason):
        load(make(values))


def test_jpeg_masks(tmp_path):
    for index in range(4):
        for name in ("images", "masks"):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.effect_noise((30, 20), 10 + index).save(tmp_path / name / f"{index}.jpg")
    with pytest.raises(
        InputError, match="of .* can be used. The first: .* its mask .*0.jpg is a JPEG, whose compression"
    ):
        load(str(tmp_path))


def test_class_names_twice(make, tmp_path):
    path = make([half(0, 1)] * 3)
    (tmp_path / "classes.txt").write_text("a\na\n")
    with pytest.raises(InputError, match=r"the class 'a' stands twice \(class names of .*\)\. Rename one\."):
        load(path)


def test_no_folders_and_no_pairs(tmp_path, make):
    with pytest.raises(InputError, match="has no folders of pictures and masks: expected images/ and masks/"):
        load(str(tmp_path), format="masks")
    path = make([half(0, 1)] * 3)
    for file in (tmp_path / "masks").iterdir():
        file.rename(file.with_stem("x" + file.stem))
    with pytest.raises(
        InputError, match=r"has no picture with a mask\. The first that was left out: .*0.png has no mask"
    ):
        load(path, format="masks")


def test_class_folders_of_such_names_are_no_masks(fill):
    folder = fill({"image/1.jpg": 0, "image/2.jpg": 1, "label/3.jpg": 2, "label/4.jpg": 3})
    assert not masks.matches(folder)
    assert load(str(folder)).classes == ("image", "label")
