"""The contact sheet of a policy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfmap import sheets
from tfmap.errors import InputError
from tfmap.preview import preview
from tfmap.source import Boxes, Masks, Source, Split

ROOT = Path(__file__).parents[1]
CONFIG = {"model": {"input_shape": (48, 48, 3)}, "pipeline": {"batch_size": 8}, "augment": {"ops": "flip(1)"}}


@pytest.fixture(scope="module")
def source(trash_split, trash_classes):
    return Source("photos", trash_classes, {"train": trash_split})


def tiles(sheet, rows, columns, side=sheets.SIDE):
    """The pictures of a sheet of square ones; a title and captions of one line."""
    pixels, step = np.asarray(sheet), 8
    found = []
    for row in range(rows):
        top = 8 + 15 + row * (side + 15 + 8)
        found.append([pixels[top : top + side, step + c * (side + step) :][:, :side] for c in range(columns)])
    return found


def test_the_original_stands_first_and_then_what_the_policy_makes_of_it(source):
    shown = tiles(preview(source, config=CONFIG, pictures=3, draws=2), 3, 3)
    for original, *drawn in shown:
        assert original.std() > 5
        for picture in drawn:
            np.testing.assert_array_equal(picture, original[:, ::-1])
    assert (shown[0][0] != shown[1][0]).any()


def test_draws_differ_and_a_seed_repeats_them(source):
    config = {**CONFIG, "augment": {"ops": "rotate(40)|hue"}}
    one, two = (preview(source, config=config, seed=5, pictures=2, draws=2) for _ in range(2))
    np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    first, second, third = tiles(one, 2, 3)[0]
    assert (first != second).any()
    assert (second != third).any()
    other = preview(source, config=config, seed=6, pictures=2, draws=2)
    assert (np.asarray(one) != np.asarray(other)).any()


def read_mask(item):
    """uint8 (48, 48): an object in the upper left quarter."""
    mask = np.zeros((48, 48), np.uint8)
    mask[4:24, 4:24] = item
    return mask


def detection(split, classes):
    count = len(split)
    starts = np.arange(count + 1)
    boxes = np.tile(np.array([[4, 4, 24, 24]], "float32"), (count, 1))
    none = np.zeros(count, bool)
    table = Boxes(starts.astype("int64"), boxes, split.labels.astype("int32"), none, none)
    masks = Masks(np.full(count, 1, object), read_mask)
    presence = np.eye(len(classes), dtype="float32")[split.labels]
    return {
        "boxes": Split("pixels", split.images, presence, split.ids, split.odd, boxes=table),
        "mask": Split("pixels", split.images, presence, split.ids, split.odd, masks=masks),
    }


@pytest.mark.parametrize("target", ["boxes", "mask"])
def test_boxes_and_masks_are_drawn_where_they_went(trash_split, trash_classes, target):
    split = detection(trash_split, trash_classes)[target]
    with_target = Source("photos", trash_classes, {"train": split}, target=target)
    without = Source("photos", trash_classes, {"train": trash_split})
    (marked,), (plain,) = (
        tiles(preview(source, config=CONFIG, pictures=1, draws=1), 1, 2) for source in (with_target, without)
    )
    scale = sheets.SIDE / 48
    for column, left in ((0, 4), (1, 24)):
        rows, columns = np.nonzero((marked[column] != plain[column]).any(axis=-1))
        assert abs(rows.min() - 4 * scale) <= 3
        assert abs(columns.min() - left * scale) <= 3
        if target == "mask":  # the name of a box is drawn beyond it
            assert abs(rows.max() + 1 - 24 * scale) <= 3
            assert abs(columns.max() + 1 - (left + 20) * scale) <= 3


@pytest.mark.parametrize("wrong", [{"pictures": 0}, {"draws": 0}])
def test_a_sheet_without_pictures_is_refused(source, wrong):
    text = r"preview\.pictures and preview\.draws must be at least 1, received \d and \d\."
    with pytest.raises(InputError, match=text):
        preview(source, config=CONFIG, **wrong)


@pytest.mark.slow
def test_the_command_leaves_a_sheet_in_the_run(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        "datasets: {source: sample:trash}\nmodel: {input_shape: [96, 96, 3]}\naugment: {ops: flip|mixup}\n"
    )
    command = [sys.executable, "-m", "tfmap.preview", str(config), "preview.pictures=2", f"out={tmp_path / 'run'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "run" / "preview.png")
    with Image.open(tmp_path / "run" / "preview.png") as sheet:
        assert sheet.width == 6 * (sheets.SIDE + 8) + 8
