"""Boxes and masks in batches, on pictures drawn for it: a bright rectangle, found again by its pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tfmap import batch as contract
from tfmap import pipeline
from tfmap.errors import InputError
from tfmap.pipeline import fit
from tfmap.source import Boxes, Masks, Split
from tfmap.tasks.classification import prepare

COUNT = 24
SIZE = (48, 64)


def read_mask(item):
    """A mask as a data set would keep it: a file; "gone" and "small" for what goes wrong."""
    if item == "gone":
        raise OSError("the mask is gone")
    mask = np.asarray(Image.open(item))
    return mask[:5] if item.endswith("small") else mask


@pytest.fixture(scope="module", params=["png", "jpg", "turned"])
def drawn(request, tmp_path_factory):
    """Pictures of many sizes with one bright rectangle each, its box and its mask; "turned" are EXIF portraits."""
    return draw(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def pngs(tmp_path_factory):
    """The same as PNG alone."""
    return draw(tmp_path_factory.mktemp("pngs"), "png")


def draw(folder, kind):
    random = np.random.default_rng(0)
    suffix = "png" if kind == "png" else "jpg"
    boxes, paths, masks = [], [], []
    for row in range(COUNT):
        height, width = (int(side) for side in random.integers(60, 400, 2))
        y, x = random.uniform(0, 0.5, 2) * (height, width)
        bottom, right = (y, x) + random.uniform(0.3, 0.5, 2) * (height, width)
        box = [round(float(side)) for side in (y, x, bottom, right)]
        mask = np.zeros((height, width), np.uint8)
        mask[box[0] : box[2], box[1] : box[3]] = 1
        picture, exif = Image.fromarray(mask * np.uint8(255)).convert("RGB"), Image.Exif()
        if kind == "turned":
            exif[0x0112] = 6
            picture = picture.transpose(Image.Transpose.ROTATE_90)
        path = folder / f"{row}.{suffix}"
        picture.save(path, exif=exif, **({"quality": 95} if suffix == "jpg" else {}))
        Image.fromarray(mask).save(folder / f"{row}.mask.png")
        boxes.append(box)
        paths.append(str(path))
        masks.append(str(folder / f"{row}.mask.png"))
    return split_of(paths, boxes, masks, np.full(COUNT, kind == "turned"))


def split_of(paths, boxes, masks, odd):
    names, items = np.array(paths, object), np.array(masks, object)
    flags = np.zeros(COUNT, bool)
    # every second picture has a crowd too
    per = [[(box, False)] + ([((0, 0, 50, 50), True)] if row % 2 else []) for row, box in enumerate(boxes)]
    flat = [one for many in per for one in many]
    starts = np.concatenate([[0], np.cumsum([len(many) for many in per])])
    flags = np.array([crowd for _, crowd in flat])
    table = np.array([box for box, _ in flat], np.float32)
    numbers = np.arange(len(flat), dtype=np.int32) % 5
    labels = np.eye(COUNT, dtype=np.float32)
    ragged = Boxes(starts, table, numbers, flags, np.zeros(len(flat), bool))
    return Split("path", names, labels, names, odd, ragged, Masks(items, read_mask))


def read(split, **options):
    options = {"size": SIZE, "prepare": fit.stretch, "batch_size": 8, "cache": "none"} | options
    made = [contract.check(batch) for batch in pipeline.batches(split, **options)]
    keys = [key for key in made[0] if key != "id"]
    return {key: np.concatenate([batch[key] for batch in made]) for key in keys}


def extent(pixels):
    rows, columns = (np.flatnonzero(pixels.any(axis)) for axis in (1, 0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


@pytest.mark.parametrize("prepare", [fit.stretch, fit.letterbox])
def test_boxes_and_masks_lie_on_their_pixels(drawn, prepare):
    made = read(drawn, prepare=prepare)
    assert made["boxes"].shape == (COUNT, 1, 4)  # crowds are out
    assert made["instances"].dtype == np.int32
    own = drawn.boxes.classes[~drawn.boxes.crowd]
    np.testing.assert_array_equal(made["classes"][:, 0], own)
    for image, box, mask in zip(made["image"], made["boxes"][:, 0], made["instances"], strict=True):
        bright = image[..., 0] > 160
        assert np.abs(extent(bright) - box).max() <= 1.5  # half a pixel of ours, half of one that libjpeg shrank
        assert (bright != (mask == 1)).mean() < 0.03


def test_a_crop_moves_cuts_and_drops(drawn):
    made = read(drawn, training=True, epochs=20, crop=[0.1, 0.6])
    kept = made["classes"][:, 0] >= 0
    assert 0.3 < kept.mean() < 1
    assert (made["boxes"][~kept] == 0).all()
    shares = (made["instances"] == 1).mean((1, 2))
    assert shares[~kept].max() < 0.5  # what was dropped is the rest of a rectangle
    for image, box, mask in zip(made["image"][kept], made["boxes"][kept, 0], made["instances"][kept], strict=True):
        bright = image[..., 0] > 160
        assert np.abs(extent(bright) - box).max() <= 2.5  # a decoder that shrinks by 2 or 4 has coarser borders
        assert (bright != (mask == 1)).mean() < 0.06


@pytest.mark.parametrize("kind", [pytest.param("memory", marks=pytest.mark.slow), "disk"])
def test_caches_keep_boxes_and_masks(pngs, kind, tmp_path, monkeypatch):
    monkeypatch.setenv("TFMAP_CACHE", str(tmp_path))
    plain, cached = read(pngs, batch_size=10), read(pngs, batch_size=10, cache=kind)
    assert plain.keys() == cached.keys()
    for key in plain:
        np.testing.assert_array_equal(plain[key], cached[key])


def test_what_fills_up_the_last_batch_is_blank(pngs):
    made = read(pngs.take(np.arange(3)))
    assert (made["weight"] == [1, 1, 1, 0, 0, 0, 0, 0]).all()
    assert (made["boxes"][3:] == 0).all()
    assert (made["classes"][3:] == -1).all()
    assert (made["instances"][3:] == 0).all()


@pytest.mark.parametrize(("item", "reason"), [("gone", "the mask is gone"), ("small", "its mask is 5 x ")])
def test_a_mask_that_cannot_be_used_loses_its_picture(pngs, item, reason, tmp_path):
    items = pngs.masks.items.copy()
    if item == "small":
        Image.open(items[5]).save(tmp_path / "mask.small", "PNG")
        item = str(tmp_path / "mask.small")
    items[5] = item
    broken = replace(pngs, masks=Masks(items, read_mask))
    made = read(broken)
    np.testing.assert_array_equal(made["weight"], np.arange(COUNT) != 5)
    assert (made["instances"][5] == 0).all()
    assert (made["classes"][5] == -1).all()
    assert [lost.reason[: len(reason)] for lost in pipeline.lost(broken)] == [reason]


def test_a_classifier_reads_neither_boxes_nor_masks(pngs):
    gone = replace(pngs, masks=Masks(np.full(COUNT, "gone", object), read_mask))
    made = read(gone, prepare=prepare)
    assert set(made) == {"image", "label", "weight"}
    assert made["weight"].all()
    (made,) = pipeline.in_order(gone, size=SIZE, prepare=prepare, batch_size=COUNT)
    assert made["weight"].all()


def test_the_largest_boxes_are_kept(pngs):
    starts = np.arange(0, 3 * COUNT + 1, 3)
    flat = np.tile(np.array([[0, 0, 10, 10], [0, 0, 40, 40], [5, 5, 45, 40]], np.float32), (COUNT, 1))
    boxes = Boxes(starts, flat, np.tile(np.arange(3, dtype=np.int32), COUNT), *np.zeros((2, 3 * COUNT), bool))
    many = replace(pngs, boxes=boxes, masks=None)
    assert read(many)["boxes"].shape == (COUNT, 3, 4)
    np.testing.assert_array_equal(read(many, max_boxes=2)["classes"], [[1, 2]] * COUNT)
    assert read(many, max_boxes=5)["boxes"].shape == (COUNT, 5, 4)


def test_no_boxes_at_all(pngs):
    none = Boxes(
        np.zeros(COUNT + 1, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.int32), *np.zeros((2, 0), bool)
    )
    made = read(replace(pngs, boxes=none, masks=None))
    assert made["boxes"].shape == (COUNT, 1, 4)
    assert (made["classes"] == -1).all()


def test_max_boxes_out_of_range(pngs):
    with pytest.raises(InputError, match="pipeline.max_boxes must be at least 1, received 0"):
        read(pngs, max_boxes=0)


def test_pixels_have_boxes_and_masks_too(pngs):
    images = np.zeros((COUNT, 40, 60, 3), np.uint8)
    images[:, 10:30, 15:45] = 255
    starts = np.arange(COUNT + 1)
    boxes = Boxes(
        starts,
        np.tile(np.float32([10, 15, 30, 45]), (COUNT, 1)),
        starts[1:].astype(np.int32),
        *np.zeros((2, COUNT), bool),
    )
    split = replace(pngs, kind="pixels", images=images, odd=np.zeros(COUNT, bool), boxes=boxes, masks=None)
    made = read(split, size=(80, 120))
    np.testing.assert_allclose(made["boxes"][:, 0], np.tile([20, 30, 60, 90], (COUNT, 1)))
