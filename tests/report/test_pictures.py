"""Pictures in the report: the right ones, small, and as the network gets them."""

from __future__ import annotations

import base64
import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image

from tfmap.report import pictures
from tfmap.source import RECORD, Split

CONFIG = {"task": "classification", "seed": 0, "pipeline": {"batch_size": 32}, "augment": {}}
SHAPE = (48, 48, 3)


def opened(uri):
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), "int32")


def test_jpeg_keeps_what_the_picture_shows(photos):
    for image in (photos[0][0], photos[0][0].astype("float32") + 0.2):
        assert np.abs(opened(pictures.jpeg(image)) - photos[0][0]).mean() < 6
    assert opened(pictures.jpeg(photos[0][0, :, :, :1])).shape == (48, 48, 3)
    assert opened(pictures.jpeg(np.full((1000, 500, 3), 300.0))).shape == (160, 80, 3)


def test_thumbnails_find_pictures_by_id_in_any_storage(photos, tmp_path):
    images, ids = photos[0][:3], np.array(["a", "b", "c"], object)
    paths = [str(tmp_path / f"{name}.png") for name in ids]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    stored = {
        "pixels": images,
        "path": np.array(paths, object),
        "encoded": np.array([Path(path).read_bytes() for path in paths], object),
    }
    shard, lengths = tmp_path / "shard", [len(data) for data in stored["encoded"]]
    shard.write_bytes(b"".join(stored["encoded"]))
    stored["record"] = np.array([(0, sum(lengths[:at]), lengths[at]) for at in range(3)], RECORD)
    for kind, values in stored.items():
        split = Split(kind, values, np.zeros(3, "int32"), ids, np.zeros(3, bool), shards=(str(shard),))
        found = pictures.thumbnails([split], ["c", "a", "unknown"])
        assert sorted(found) == ["a", "c"]
        assert np.abs(opened(found["c"]) - images[2]).mean() < 6


def test_thumbnails_leave_out_what_cannot_be_read(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    ids = np.array([str(tmp_path / "text.jpg"), str(tmp_path / "gone.jpg")], object)
    split = Split("path", ids, np.zeros(2, "int32"), ids, np.zeros(2, bool))
    assert pictures.thumbnails([split], ids) == {}


def test_thumbnails_stand_upright(photos, tmp_path):
    """EXIF orientation 6: the picture is to be turned by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = str(tmp_path / "turned.jpg")
    Image.fromarray(photos[0][0][:24]).save(path, exif=exif, quality=95)
    ids = np.array([path], object)
    split = Split("path", ids, np.zeros(1, "int32"), ids, np.ones(1, bool))
    assert opened(pictures.thumbnails([split], ids)[path]).shape == (48, 24, 3)


def test_samples_show_the_batch_before_and_after_the_policy(trash_split, trash_classes):
    options = {"classes": trash_classes, "shape": SHAPE, "count": 6}
    plain = pictures.samples(trash_split, config=CONFIG, **options)
    assert len(plain) == 6
    assert all(row["before"] == row["after"] and row["label"] == row["mixed"] for row in plain)
    changed = pictures.samples(trash_split, config={**CONFIG, "augment": {"ops": "flip(1)|mixup(8)"}}, **options)
    assert [row["before"] for row in changed] == [row["before"] for row in plain]
    assert not any(row["before"] == row["after"] for row in changed)
    assert any(" + " in row["mixed"] for row in changed)


def test_samples_take_several_labels_and_fewer_pictures_than_asked_for(trash_split):
    labels = np.array([[1, 1], [0, 0], [0, 1]], "float32")
    split = dataclasses.replace(trash_split.take(np.arange(3)), labels=labels)
    found = pictures.samples(split, classes=("a", "b"), shape=SHAPE, config=CONFIG)
    assert sorted(row["label"] for row in found) == ["a + b", "b", "none"]
