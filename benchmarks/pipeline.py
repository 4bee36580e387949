"""Pictures per second: `python benchmarks/pipeline.py FOLDER [RESULT.json]`.

Class folders -> batches of 32 at 224 x 224, ours against Keras' loader and against decoding alone (no resize, no batch:
what any loader must pay). Each is run three times over the folder after one to warm up; the best counts.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from tfmap import datasets, pipeline
from tfmap.source import Split
from tfmap.tasks.classification import prepare

SIZE, BATCH, RUNS = (224, 224), 32, 3


def decode_alone(split: Split):
    """Read and decode with TensorFlow's defaults."""
    paths = tf.constant(split.images.tolist())
    data = tf.data.Dataset.from_tensor_slices(paths)
    return data.map(lambda path: tf.shape(tf.io.decode_jpeg(tf.io.read_file(path), 3)), tf.data.AUTOTUNE).batch(BATCH)


def keras_loader(folder: str):
    """keras.utils.image_dataset_from_directory, shuffled."""
    return keras.utils.image_dataset_from_directory(
        folder, image_size=SIZE, batch_size=BATCH, shuffle=True, seed=0, verbose=False
    ).prefetch(tf.data.AUTOTUNE)


def ours(split: Split, **options):
    """One shuffled epoch."""
    return pipeline.batches(split, size=SIZE, prepare=prepare, training=True, batch_size=BATCH, epochs=1, **options)


def rate(make, count: int) -> float:
    """Pictures per second, the best of RUNS; the first, unmeasured run fills the caches."""
    best = float("inf")
    for run in range(RUNS + 1):
        data = make()
        start = time.perf_counter()
        for _ in data:
            pass
        best = min(best, time.perf_counter() - start) if run else best
    return count / best


def main(folder: str, result: str | None = None) -> None:
    """Measure, print, write."""
    split = datasets.load(folder, val_fraction=0.0).split("train")
    ways = {
        "decoding alone": lambda: decode_alone(split),
        "keras image_dataset_from_directory": lambda: keras_loader(folder),
        "tfmap": lambda: ours(split, cache="none"),
        "tfmap, random crops": lambda: ours(split, cache="none", crop=[0.3, 1.0]),
        "tfmap, cache on disk": lambda: ours(split, cache="disk"),
        "tfmap, cache in memory": lambda: ours(split, cache="memory"),
    }
    rates = {name: round(rate(make, len(split))) for name, make in ways.items()}
    for name, value in rates.items():
        sys.stdout.write(f"{name:36}{value:>9,} img/s\n")
    if result:
        about = {"folder": folder, "pictures": len(split), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        Path(result).write_text(json.dumps({**about, "size": SIZE, "images_per_second": rates}, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
