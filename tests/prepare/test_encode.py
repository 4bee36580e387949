from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.prepare.conftest import encoded
from tfmap import pixels
from tfmap.datasets.scan import judge
from tfmap.prepare import encode
from tfmap.prepare.plan import Settings


@pytest.fixture
def image(photo):
    return Image.fromarray(photo)


def rotated(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, "JPEG", exif=exif)


# name -> (its bytes, the format that it gets, channels)
ODD = {
    "rotated": (rotated, "jpeg", 3),
    "cmyk": (lambda image: encoded(image.convert("CMYK"), "JPEG"), "jpeg", 3),
    "lossy webp": (lambda image: encoded(image, "WEBP"), "jpeg", 3),
    "lossless webp": (lambda image: encoded(image, "WEBP", lossless=True), "png", 3),
    "gif": (lambda image: encoded(image, "GIF"), "png", 3),
    "bmp": (lambda image: encoded(image, "BMP"), "png", 3),
    "alpha": (lambda image: encoded(image.convert("RGBA"), "PNG"), "png", 3),
    "palette": (lambda image: encoded(image.convert("P"), "PNG"), "png", 3),
    "bits": (lambda image: encoded(image.convert("1"), "PNG"), "png", 1),
    "16 bits": (
        lambda image: encoded(Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 256), "PNG"),
        "png",
        1,
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_picture_becomes_a_plain_one_that_looks_the_same(image, name):
    make, format, channels = ODD[name]
    data = make(image)
    assert judge(data).odd
    picture = encode.encode(data, True, Settings())
    expected = pixels.read(data, channels)
    assert (picture.format, (picture.height, picture.width, picture.channels)) == (format, expected.shape)
    assert picture.was == expected.shape[:2]
    assert not judge(picture.data).odd
    by_tensorflow = tf.io.decode_image(picture.data).numpy()
    difference = np.abs(by_tensorflow.astype(int) - expected.astype(int))
    assert difference.max() == 0 if format == "png" else difference.mean() < 4


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_plain_picture_keeps_its_bytes(image, format):
    data = encoded(image, format)
    for max_side in (None, max(image.size)):
        picture = encode.encode(data, False, Settings(max_side=max_side))
        assert picture.data is data
        assert (picture.format, picture.height, picture.width) == (format.lower(), image.height, image.width)


def test_a_plain_grey_picture_stays_grey(image):
    assert encode.encode(encoded(image.convert("L"), "JPEG"), False, Settings()).channels == 1


@pytest.mark.parametrize("max_side", [100, 33, 1])
def test_the_longer_side_is_shrunk(image, max_side):
    picture = encode.encode(encoded(image, "PNG"), False, Settings(max_side=max_side))
    opened = Image.open(io.BytesIO(picture.data))
    assert opened.size == (picture.width, picture.height)
    assert max(opened.size) == max_side
    assert picture.was == (image.height, image.width)
    share = max_side / max(image.size)
    assert abs(picture.height - image.height * share) <= 0.5 or picture.height == 1


def test_a_shrunk_picture_is_antialiased():
    board = np.indices((64, 64)).sum(0) % 2 * 255
    picture = encode.encode(board.astype(np.uint8)[..., None], False, Settings(max_side=16))
    assert np.abs(np.asarray(Image.open(io.BytesIO(picture.data)), int)[2:-2, 2:-2] - 127).max() < 8


def test_a_rotated_picture_is_shrunk_upright(image):
    picture = encode.encode(rotated(image), True, Settings(max_side=50))
    assert picture.was == (image.width, image.height)
    assert np.sign(picture.height - picture.width) == np.sign(image.width - image.height)


@pytest.mark.parametrize(("encode_as", "format"), [("jpeg", "JPEG"), ("png", "PNG")])
def test_every_picture_is_written_anew_where_that_is_asked(image, encode_as, format):
    for data in (encoded(image, "JPEG"), encoded(image, "PNG"), np.asarray(image)):
        picture = encode.encode(data, False, Settings(encode=encode_as))
        assert Image.open(io.BytesIO(picture.data)).format == format
        assert picture.format == encode_as


def test_quality_is_that_of_the_jpeg(image):
    data = encoded(image, "BMP")
    sizes = [len(encode.encode(data, True, Settings(encode="jpeg", quality=quality)).data) for quality in (30, 60, 90)]
    assert sizes == sorted(sizes)
    assert sizes[2] > 2 * sizes[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_kept_as_png(photo, channels):
    held = photo[..., :channels]
    picture = encode.encode(held, False, Settings())
    assert (picture.format, picture.channels) == ("png", channels)
    np.testing.assert_array_equal(tf.io.decode_png(picture.data).numpy(), held)


def test_a_broken_picture_is_an_error(image):
    with pytest.raises(OSError, match="truncated"):
        encode.encode(rotated(image)[:2000], True, Settings())


def test_a_shrunk_mask_invents_no_class():
    mask = np.zeros((90, 120), np.uint8)
    mask[:, 60:] = 255
    mask[45:] = 7
    small = encode.shrink_mask(mask, (30, 40))
    assert small.shape == (30, 40)
    assert set(np.unique(small)) == {0, 7, 255}
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode.png(small)))), small)
