"""How a picture of any size comes to the size of a model's input, with its boxes and its mask.

An example is a dict: "image" uint8 (h, w, C); where the data has them "boxes" float32 (n, 4), yxyx in pixels of the
image, "mask" or "instances" uint8 (a, b), which covers the same part of the picture as the image, as fine or finer, and
"whole" int32 (2,), the height and width of the picture that the image was made from.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

GREY = 128  # around a letterboxed picture; middle grey is close to zero after every usual normalisation
AROUND = {"mask": 255, "instances": 0}  # in masks of classes, which ignore it, and in those of objects

Example = Mapping[str, tf.Tensor]


def stretch(example: Example, size: tuple[int, int]) -> dict[str, tf.Tensor]:
    """Resize to the model's input, the aspect ratio not kept.

    Args:
        example: see above.
        size: (height, width) in pixels.

    Returns:
        the same keys: "image" uint8 (height, width, C), bilinear without antialiasing; "boxes" in its pixels; "mask"
        and "instances" uint8 (height, width), the nearest pixel; "whole" as it is.
    """
    scale = tf.cast(size, tf.float32) / tf.cast(tf.shape(example["image"])[:2], tf.float32)
    return _moved(example, tf.convert_to_tensor(size), scale, tf.zeros(2))


def letterbox(example: Example, size: tuple[int, int]) -> dict[str, tf.Tensor]:
    """Resize to fit into the model's input, the aspect ratio kept, in the middle; grey (mask: ignored) around it.

    Args:
        example: see above.
        size: (height, width) in pixels.

    Returns:
        as `stretch`.
    """
    shape = tf.cast(tf.shape(example["image"])[:2], tf.float32)
    inner = tf.cast(tf.round(shape * tf.reduce_min(tf.cast(size, tf.float32) / shape)), tf.int32)
    inner = tf.clip_by_value(inner, 1, size)
    above = (size - inner) // 2
    made = _moved(example, inner, tf.cast(inner, tf.float32) / shape, tf.cast(above, tf.float32))
    around = tf.stack([above, size - inner - above], 1)
    made["image"] = _padded(made["image"], tf.concat([around, [[0, 0]]], 0), GREY, size)
    return made | {key: _padded(made[key], around, value, size) for key, value in AROUND.items() if key in made}


def _moved(example: Example, size: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor) -> dict[str, tf.Tensor]:
    made = {"image": _bilinear(example["image"], size)}
    if "boxes" in example:
        made["boxes"] = example["boxes"] * tf.tile(scale, [2]) + tf.tile(offset, [2])
    for key in AROUND.keys() & set(example):
        made[key] = tf.image.resize(example[key][..., tf.newaxis], size, "nearest")[..., 0]
    return made | {key: example[key] for key in ("whole",) if key in example}


def _bilinear(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    # To float first: TensorFlow's resize of uint8 takes 428 us for 224 x 224, the cast 63 us and the resize of float
    # 295 us; to the last bit the same.
    return tf.cast(tf.round(tf.image.resize(tf.cast(image, tf.float32), size)), tf.uint8)


def _padded(pixels: tf.Tensor, around: tf.Tensor, value: int, size: tuple[int, int]) -> tf.Tensor:
    padded = tf.pad(pixels, around, constant_values=tf.constant(value, pixels.dtype))
    return tf.ensure_shape(padded, (*size, *pixels.shape[2:]))
