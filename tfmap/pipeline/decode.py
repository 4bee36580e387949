"""Encoded bytes -> pixels, in TensorFlow: plain JPEG and PNG, no larger than they are needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

Size = tuple[int, int]

# What libjpeg can shrink by while it decodes. Its other settings stay as they are: on 512x384 JPEG, in one process,
# INTEGER_FAST is no faster than the default (699 and 699 us) and plain upscaling slower (784 us).
_RATIOS = (1, 2, 4, 8)
# A side may fall so far below the target and be enlarged again. libjpeg averages where a bilinear resize skips pixels:
# at this limit (512x384 at a half, for 224x224) pictures are nearer to Pillow's antialiased resize (1.93 of 255 on
# average over 100 photographs) than those that are decoded whole (2.07), and decoding and resizing them costs three
# quarters (1,060 and 1,405 us of one process).
_LEAST = 0.85


class Part(NamedTuple):
    """Pixels, and where in the picture they come from.

    Attributes:
        image: uint8 (h, w, C).
        origin: int32 (2,), y and x of the first of them in the whole picture.
        ratio: int32 (), pixels of the whole picture to a side of one of these: 1, 2, 4 or 8.
        whole: int32 (2,), height and width of the whole picture.
    """

    image: tf.Tensor
    origin: tf.Tensor
    ratio: tf.Tensor
    whole: tf.Tensor


def decode(data: tf.Tensor, *, size: Size, channels: int, window: Callable | None = None) -> Part:
    """Decode a plain JPEG or PNG.

    A JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as both sides stay at least as long as `least(size)`.

    Args:
        data: string (), the encoded bytes.
        size: (height, width) that the picture will be resized to.
        channels: 1 or 3.
        window: int32 (2,) height and width of a picture -> int32 (4,) y, x, height, width of the part to decode.

    Returns:
        Part: of `channels`.
    """

    def jpeg() -> Part:
        shape = tf.io.extract_jpeg_shape(data)[:2]
        part = None if window is None else window(shape)
        halvings = _halvings(shape if part is None else part[2:], size)
        image = tf.switch_case(halvings, [_jpeg_branch(data, ratio, channels, part) for ratio in _RATIOS])
        ratio = tf.bitwise.left_shift(1, halvings)
        return Part(image, tf.zeros(2, tf.int32) if part is None else part[:2] // ratio * ratio, ratio, shape)

    def png() -> Part:
        return cut(tf.io.decode_png(data, channels=channels), window)

    part = tf.cond(tf.io.is_jpeg(data), jpeg, png)
    return part._replace(image=tf.ensure_shape(part.image, (None, None, channels)))


def least(size: Size) -> Size:
    """The shortest sides that a JPEG may be shrunk to while it is decoded, before it is resized to `size`."""
    return tuple(math.ceil(_LEAST * side) for side in size)


def cut(image: tf.Tensor, window: Callable | None, ratio: int | tf.Tensor = 1, whole: tf.Tensor | None = None) -> Part:
    """The part of an image that a window function asks for.

    Args:
        image: uint8 (h, w, C).
        window: as for `decode`; None takes all of it.
        ratio: what the image was shrunk by; only where there is no window.
        whole: int32 (2,), the picture's size before that; by default the image's.
    """
    whole = tf.shape(image)[:2] if whole is None else whole
    ratio = tf.constant(ratio) if isinstance(ratio, int) else ratio
    if window is None:
        return Part(image, tf.zeros(2, tf.int32), ratio, whole)
    y, x, height, width = tf.unstack(window(whole))
    return Part(image[y : y + height, x : x + width], tf.stack([y, x]), ratio, whole)


def random_window(scale: tuple[float, float], seed: tf.Tensor) -> Callable:
    """A window function: a random part of a picture, its area a share in `scale`, its shape between 3:4 and 4:3.

    Args:
        scale: smallest and largest share of the area, in (0, 1].
        seed: int32 (2,).

    Source: Szegedy et al., Going deeper with convolutions, 2015, section 6.
    """

    def window(shape: tf.Tensor) -> tf.Tensor:
        begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.concat([shape, [3]], 0),
            tf.zeros((1, 0, 4), tf.float32),
            seed,
            area_range=scale,
            aspect_ratio_range=(3 / 4, 4 / 3),
            max_attempts=10,
            use_image_if_no_bounding_boxes=True,
        )
        return tf.concat([begin[:2], extent[:2]], 0)

    return window


def match_channels(image: tf.Tensor, channels: int) -> tf.Tensor:
    """Pixels uint8 (h, w, 1 or 3) with 1 or 3 channels: grey is repeated, colour becomes its luma."""
    if image.shape[-1] == channels:
        return image
    return tf.image.grayscale_to_rgb(image) if channels == 3 else tf.image.rgb_to_grayscale(image)


def _halvings(shape: tf.Tensor, size: Size) -> tf.Tensor:
    """How often (0..3) both sides can be halved and still be at least as long as `least(size)`."""
    fits = [tf.reduce_all(shape >= tf.constant(least(size), tf.int32) * ratio) for ratio in _RATIOS[1:]]
    return tf.reduce_sum(tf.cast(fits, tf.int32))


def _jpeg_branch(data: tf.Tensor, ratio: int, channels: int, part: tf.Tensor | None) -> Callable[[], tf.Tensor]:
    if part is None:
        return lambda: tf.io.decode_jpeg(data, channels=channels, ratio=ratio)
    # The window counts pixels of the shrunk picture. Rounded down, it stays inside.
    return lambda: tf.image.decode_and_crop_jpeg(data, part // ratio, channels=channels, ratio=ratio)
