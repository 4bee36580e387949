from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfmap.pipeline import decode


@pytest.fixture(scope="module")
def picture(photo):
    """The photograph, enlarged to 400 x 300."""
    return Image.fromarray(photo).resize((400, 300), Image.Resampling.BICUBIC)


def encoded(image, format="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return tf.constant(buffer.getvalue())


def difference(a, b):
    return np.abs(np.asarray(a, np.float32) - np.asarray(b, np.float32)).mean()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 40}, {"subsampling": 0}], ids=str)
def test_jpeg_is_close_to_pillow(picture, options):
    data = encoded(picture, **options)
    image = decode.decode(data, size=(300, 400), channels=3).image
    assert difference(image, Image.open(io.BytesIO(data.numpy()))) < 1.5


def test_grey_jpeg_and_one_channel(picture):
    grey = decode.decode(encoded(picture.convert("L")), size=(300, 400), channels=3).image
    assert grey.shape == (300, 400, 3)
    assert difference(grey[..., 0], grey[..., 2]) == 0
    one = decode.decode(encoded(picture), size=(300, 400), channels=1).image
    assert one.shape == (300, 400, 1)
    assert difference(one[..., 0], picture.convert("L")) < 1


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_png_is_what_pillow_reads(picture, mode):
    image = decode.decode(encoded(picture.convert(mode), "PNG"), size=(30, 40), channels=3).image
    np.testing.assert_array_equal(image, np.asarray(picture.convert(mode).convert("RGB")))


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((300, 400), (300, 400)),
        ((177, 200), (300, 400)),
        ((176, 200), (150, 200)),
        ((89, 10), (150, 200)),
        ((75, 100), (75, 100)),
        ((37, 50), (38, 50)),
        ((1, 1), (38, 50)),
        ((900, 900), (300, 400)),
    ],
)
def test_a_large_jpeg_is_decoded_smaller_but_not_far_below_the_target(picture, size, shape):
    image = decode.decode(encoded(picture), size=size, channels=3).image
    assert image.shape == (*shape, 3)
    assert difference(image, picture.resize(shape[::-1], Image.Resampling.BOX)) < 3


def test_decoding_smaller_is_no_further_from_an_antialiased_resize(files):
    whole, smaller = [], []
    for file in files[:12]:
        data, size = tf.io.read_file(str(file)), (107, 107)  # the shorter side, 192 at most, comes out at 96 or less
        ideal = Image.open(file).convert("RGB").resize(size, Image.Resampling.BICUBIC)
        image = decode.decode(data, size=size, channels=3).image
        whole.append(difference(tf.image.resize(tf.io.decode_jpeg(data, channels=3), size), ideal))
        smaller.append(difference(tf.image.resize(image, size), ideal))
    assert np.mean(smaller) <= np.mean(whole)


@pytest.mark.parametrize("size", [(200, 100), (100, 50), (50, 25), (10, 10)])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_window_is_the_part_it_names(picture, format, size):
    def window(_):
        return tf.constant([80, 160, 200, 104])

    image = decode.decode(encoded(picture, format), size=size, channels=3, window=window).image
    part = picture.crop((160, 80, 264, 280)).resize(image.shape[1::-1], Image.Resampling.BOX)
    assert image.shape[0] >= 0.85 * size[0]
    assert image.shape[1] >= 0.85 * size[1]
    assert difference(image, part) < 4


def test_random_windows_keep_scale_and_shape():
    areas, tops = [], []
    for number in range(200):
        window = decode.random_window((0.3, 0.8), tf.constant([3, number]))
        y, x, height, width = window(tf.constant([300, 400])).numpy()
        assert 0 <= y <= 300 - height
        assert 0 <= x <= 400 - width
        assert 0.74 < width / height < 1.36
        areas.append(height * width / (300 * 400))
        tops.append(y)
    assert min(areas) > 0.29
    assert max(areas) < 0.81
    assert np.std(areas) > 0.1
    assert np.std(tops) > 10


def test_a_random_window_follows_from_its_seed():
    first, again, other = (
        decode.random_window((0.3, 1.0), tf.constant(seed))(tf.constant([300, 400])).numpy()
        for seed in ([1, 2], [1, 2], [1, 3])
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_channels_are_matched(photo):
    grey = tf.constant(photo[..., :1])
    np.testing.assert_array_equal(decode.match_channels(grey, 3), np.repeat(photo[..., :1], 3, 2))
    np.testing.assert_array_equal(decode.match_channels(grey, 1), grey)
    luma = decode.match_channels(tf.constant(photo), 1)
    assert difference(luma[..., 0], Image.fromarray(photo).convert("L")) < 1


def test_broken_bytes_are_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode.decode(tf.constant(b"no picture"), size=(10, 10), channels=3)
