"""What becomes of each picture: odd ones, broken ones, lost ones."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfmap import pipeline, pixels
from tfmap.errors import InputError
from tfmap.pipeline.decode import least
from tfmap.source import Split
from tfmap.tasks.classification import prepare

SIZE = (32, 40)


def resize(image, size):
    return prepare({"image": tf.constant(image)}, size)["image"]


def read(split, **options):
    """All pictures of a split, and their weights, in order."""
    options = {"size": SIZE, "prepare": prepare, "batch_size": 8, "cache": "none"} | options
    batches = [{key: value.numpy() for key, value in b.items()} for b in pipeline.batches(split, **options)]
    count = len(split)
    return tuple(np.concatenate([batch[key] for batch in batches])[:count] for key in ("image", "weight"))


def at_once(split, **options):
    """The same without a data set."""
    options = {"size": SIZE, "prepare": prepare, "batch_size": 8} | options
    batches = list(pipeline.in_order(split, **options))
    return tuple(np.concatenate([batch[key] for batch in batches])[: len(split)] for key in ("image", "weight"))


def test_plain_jpeg_is_close_to_pillow(split, before):
    for image, path in zip(before, split.images, strict=True):
        expected = resize(pixels.read(path, at_least=least(SIZE)), SIZE).numpy().astype(int)
        assert np.abs(image - expected).mean() < 1


@pytest.fixture
def zoo(tmp_path, files, path_split):
    """Odd pictures of every kind, among plain ones."""
    photos = [Image.fromarray(pixels.read(str(path))) for path in files[:12]]
    exif = Image.Exif()
    exif[0x0112] = 6
    photos[0].save(tmp_path / "turned.jpg", exif=exif)
    photos[1].convert("CMYK").save(tmp_path / "cmyk.jpg")
    photos[2].save(tmp_path / "a.webp")
    photos[3].quantize(32).save(tmp_path / "palette.png")
    Image.fromarray(np.asarray(photos[4].convert("L")).astype(np.uint16) * 256).save(tmp_path / "deep.png")
    photos[5].save(tmp_path / "moving.gif", save_all=True, append_images=[photos[6].resize(photos[5].size)])
    photos[7].save(tmp_path / "a.bmp")
    photos[8].convert("LA").save(tmp_path / "clear.png")
    photos[9].save(tmp_path / "a.tiff")
    paths = sorted(tmp_path.iterdir())
    return path_split([*paths, *files[:7]], [True] * len(paths) + [False] * 7)


@pytest.mark.parametrize("channels", [3, 1])
def test_odd_pictures_are_what_pillow_reads(zoo, channels):
    images, weights = read(zoo, channels=channels)
    assert (weights == 1).all()
    assert images.shape == (16, *SIZE, channels)
    for index in np.flatnonzero(zoo.odd):
        expected = resize(pixels.read(zoo.images[index], channels, least(SIZE)), SIZE)
        np.testing.assert_array_equal(images[index], expected)
    np.testing.assert_array_equal(at_once(zoo, channels=channels)[0], images)


def test_what_tensorflow_cannot_read_goes_to_pillow(zoo, path_split):
    """Even where the scan did not know."""
    unmarked = path_split(zoo.images)
    webp = [path.endswith("webp") for path in zoo.images].index(True)
    images, weights = read(unmarked)
    assert (weights == 1).all()
    np.testing.assert_array_equal(images[webp], read(zoo)[0][webp])
    np.testing.assert_array_equal(at_once(unmarked)[0], images)


def test_encoded_bytes_read_like_paths(split, before):
    data = np.empty(len(split), object)
    data[:] = [Path(path).read_bytes() for path in split.images]
    encoded = Split("encoded", data, split.labels, split.ids, split.odd)
    np.testing.assert_array_equal(read(encoded)[0], before)
    np.testing.assert_array_equal(at_once(encoded)[0], before)


@pytest.mark.parametrize(("stored", "asked"), [(3, 3), (3, 1), (1, 1), (1, 3)])
def test_pixels_are_only_resized(photos, stored, asked):
    images = photos[0][..., :stored]
    ids = np.array([f"p{i}" for i in range(48)], object)
    split = Split("pixels", images, photos[1], ids, np.zeros(48, bool))
    result, weights = read(split, channels=asked)
    assert (weights == 1).all()
    assert result.shape == (48, *SIZE, asked)
    expected = (
        images if stored == asked else np.repeat(images, 3, 3) if asked == 3 else tf.image.rgb_to_grayscale(images)
    )
    np.testing.assert_array_equal(result, np.stack([resize(image, SIZE) for image in expected]))
    np.testing.assert_array_equal(at_once(split, channels=asked)[0], result)


@pytest.fixture(scope="module")
def before(split):
    """The 50 pictures as they are when all is well."""
    return read(split)[0]


@pytest.mark.parametrize("how", ["deleted", "emptied", "cut", "text", "folder"])
def test_a_file_that_breaks_after_loading_does_not_count(copies, before, caplog, how):
    path = copies.images[11]
    os.remove(path)
    if how == "folder":
        os.mkdir(path)
    elif how != "deleted":
        whole = Path(copies.images[12]).read_bytes()
        content = {"emptied": b"", "cut": whole[:900], "text": b"hello"}[how]
        Path(path).write_bytes(content)
    with caplog.at_level(logging.WARNING, "tfmap"):
        images, weights = read(copies)
        if how == "deleted":
            read(copies)
        again = at_once(copies)
    np.testing.assert_array_equal(again[0], images)
    np.testing.assert_array_equal(again[1], weights)
    np.testing.assert_array_equal(weights, np.arange(50) != 11)
    assert (images[11] == 0).all()
    np.testing.assert_array_equal(np.delete(images, 11, 0), np.delete(before, 11, 0))
    messages = [record.message for record in caplog.records if path in record.message]
    assert len(messages) == 1  # said once, however often it is missed
    assert "can no longer be read and does not count" in messages[0]
    (lost,) = pipeline.lost(copies)
    assert lost.path == path
    assert lost.reason


def test_training_goes_on_without_a_lost_file(copies):
    os.remove(copies.images[11])
    options = {"size": SIZE, "prepare": prepare, "batch_size": 10, "epochs": 2, "cache": "none"}
    made = list(pipeline.batches(copies, training=True, **options))
    rows, weights = (np.concatenate([batch[key] for batch in made]) for key in ("label", "weight"))
    assert len(rows) == 100
    np.testing.assert_array_equal(weights, rows != 11)


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("cache", ["none", "memory"])
def test_all_files_lost_is_a_clear_error_and_no_hang(copies, batch_size, cache):
    for path in copies.images:
        os.remove(path)
    start = time.monotonic()
    with (
        pytest.raises(
            InputError, match=r"^pipeline: \d+ of the 50 pictures can no longer be read\. The first: .*\.jpg \(No"
        ),
        pipeline.clear_errors(),
    ):
        for _ in pipeline.batches(
            copies, size=SIZE, prepare=prepare, training=cache == "none", batch_size=batch_size, cache=cache
        ):
            pass
    assert time.monotonic() - start < 30


def test_all_files_lost_is_a_clear_error_at_once_too(copies):
    for path in copies.images:
        os.remove(path)
    with pytest.raises(InputError, match=r"^pipeline: \d+ of the 50 pictures can no longer be read\. The first"):
        at_once(copies)


def test_other_errors_stay_what_they_are():
    with pytest.raises(tf.errors.NotFoundError), pipeline.clear_errors():
        tf.io.read_file("nowhere")


def test_a_new_split_has_lost_nothing(copies):
    assert pipeline.lost(copies) == ()
