"""SavedModel for a server: encoded pictures in, scores and labels out.

The graph holds TensorFlow's decoders. They give what training saw for plain pictures: JPEG and PNG of 8 bits, grey or
RGB, upright and opaque. They apply no EXIF orientation (a phone's portrait stays on its side), drop transparency
instead of laying it on white, and know no other formats. A server that gets such pictures has to make plain ones
of them first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfmap import tasks
from tfmap.export import convert
from tfmap.export.metadata import check_labels
from tfmap.pipeline.decode import decode
from tfmap.runs import replacing_folder


def write(path: str | Path, model: keras.Model, *, classes: Sequence[str], task: str = "classification") -> None:
    """Write a SavedModel with two signatures, whole or not at all.

    serving_default: "image_bytes" string (B,), B at least 1, JPEG or PNG of any size, upright (EXIF orientation is not
    applied) and opaque -> "scores" float32 (B, K) and "labels" string (B, K), the names in the order of the scores.
    pixels: "image" uint8 (B, H, W, C) -> "scores".

    Args:
        path: the folder.
        model: pictures (B, H, W, C), values 0..255 -> scores (B, K).
        classes: K class names.
        task: which task brings a picture to the model's size.

    Raises:
        InputError: another number of classes than outputs, or a model with several inputs or without fixed sizes.
    """
    check_labels(classes, model.output_shape[-1])
    model = convert.single_precision(model)
    height, width, channels = convert.input_shape(model)
    prepare = tasks.get(task).prepare

    def picture(data: tf.Tensor) -> tf.Tensor:
        image = decode(data, size=(height, width), channels=channels).image
        return tf.ensure_shape(prepare({"image": image}, (height, width))["image"], (height, width, channels))

    def pixels(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": model(tf.cast(image, tf.float32), training=False)}

    def encoded(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = pixels(tf.map_fn(picture, image_bytes, fn_output_signature=tf.uint8))["scores"]
        return {"scores": scores, "labels": tf.tile(tf.constant([list(classes)]), [tf.shape(scores)[0], 1])}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", encoded, [tf.TensorSpec((None,), tf.string, "image_bytes")])
    archive.add_endpoint("pixels", pixels, [tf.TensorSpec((None, height, width, channels), tf.uint8, "image")])
    with replacing_folder(path) as folder, convert.silent(tf.get_logger()):
        archive.write_out(folder, verbose=False)


def answers(path: str | Path, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """What the signatures of a SavedModel of `write` answer.

    Args:
        path: the folder.
        pictures: uint8 (N, H, W, C), N at least 1, C 1 or 3.

    Returns:
        dict: "pixels" and "serving_default" (to the pictures as PNG) -> float32 (N, K).
    """
    loaded = tf.saved_model.load(str(path))  # its variables live as long as it does
    encoded = tf.stack([tf.io.encode_png(picture) for picture in pictures])
    found = {"pixels": loaded.signatures["pixels"](image=tf.constant(pictures))}
    found["serving_default"] = loaded.signatures["serving_default"](image_bytes=encoded)
    return {name: outputs["scores"].numpy() for name, outputs in found.items()}
