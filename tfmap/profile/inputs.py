"""What the input of a step costs, part by part: read, decode, resize, batch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfmap import pipeline
from tfmap.pipeline.records import Shards
from tfmap.profile.timing import batch_ms
from tfmap.source import Split


def parts(split: Split, options: Mapping[str, Any], steps: int) -> dict[str, float]:
    """Milliseconds a step of each part, on all workers of the pipeline.

    A part is what the pipeline takes longer with it than without, so each includes what it costs the others.

    Args:
        split: pictures, as many as a few steps take.
        options: keyword arguments of `pipeline.batches`, with size, prepare and batch_size.
        steps: steps that each part is timed over.

    Returns:
        dict: read, decode, resize, batch; of pictures that nothing is kept of.
    """

    def batches(**changed: Any) -> float:
        made = pipeline.batches(split, training=True, **{**options, "cache": "none", "service": None, **changed})
        return batch_ms(made, steps)

    batch = batch_ms(_empty(options), steps)
    read = batch_ms(_bytes(split, options), steps)
    decoded, resized = batches(prepare=_corner), batches()
    decode = max(decoded - read - batch, 0.0)
    return {"read": read, "decode": decode, "resize": max(resized - decode - read - batch, 0.0), "batch": batch}


def _corner(example: Mapping[str, tf.Tensor], size: tuple[int, int]) -> dict[str, tf.Tensor]:
    """Asks for the pixels, and for no work on them."""
    image = example["image"]
    return {"image": tf.fill((*size, image.shape[-1]), image[0, 0, 0])}


def _workers(options: Mapping[str, Any]) -> int:
    return options.get("workers") or min(os.cpu_count() or 1, 16)


def _empty(options: Mapping[str, Any]) -> tf.data.Dataset:
    """Batches of pictures that took no work."""
    shape = (*options["size"], options["channels"])
    pictures = tf.data.Dataset.range(options["batch_size"]).repeat()
    return pictures.map(lambda i: tf.fill(shape, tf.cast(i, tf.uint8))).batch(options["batch_size"])


def _bytes(split: Split, options: Mapping[str, Any]) -> tf.data.Dataset:
    """Batches of encoded pictures, in a random order; nothing where they are in memory already."""
    size, count = options["batch_size"], _workers(options)
    rows = np.random.default_rng(0).permutation(len(split))
    if split.kind == "path":
        paths = tf.data.Dataset.from_tensor_slices(split.images[rows].tolist()).repeat()
        return paths.map(lambda path: tf.strings.length(tf.io.read_file(path)), count).batch(size)
    if split.kind == "record":
        shards = Shards(split.shards)

        def read(chosen: np.ndarray) -> np.int64:
            return np.int64(sum(map(len, shards.read_all(split.images[chosen]))))

        chosen = tf.data.Dataset.from_tensor_slices(rows).repeat().batch(size)
        return chosen.map(lambda one: tf.numpy_function(read, [one], tf.int64, stateful=False), count)
    return tf.data.Dataset.range(1).repeat()
