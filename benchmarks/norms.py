"""A training step with Keras' batch normalisation and with TensorFlow's kernel: `python -m benchmarks.norms [NETWORK]`.

Forward and backward of a classifier at 224 px in batches of 8, both ways in turns; the ratio is of the medians.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import keras
import numpy as np
import tensorflow as tf

import tfmap
from benchmarks import results
from tfmap.train import norms

NETWORKS = ("mobilenet_v1_025", "mobilenet_v2_100", "mobilenet_v3_large", "efficientnet_lite0", "resnet50")
BATCH, SIZE, TURNS = 8, 224, 15


def main() -> None:
    """Every network."""
    rows = [_row(name) for name in sys.argv[1:] or NETWORKS]
    results.write("norms", f"A training step on {BATCH} pictures of {SIZE} px, milliseconds", rows)


def _row(name: str) -> dict[str, str | float]:
    keras.utils.set_random_seed(0)
    model = tfmap.build_classifier(name, classes=10, input_shape=(SIZE, SIZE, 3), weights=None)
    steps = {"Keras": _step(model, nullcontext()), "kernel": _step(model, norms.fused(model))}
    times: dict[str, list[float]] = {way: [] for way in steps}
    for _ in range(TURNS):
        for way, step in steps.items():
            start = time.perf_counter()
            step()
            times[way].append(1e3 * (time.perf_counter() - start))
    found = {way: float(np.median(taken)) for way, taken in times.items()}
    row = {"network": name, **found, "ratio": found["kernel"] / found["Keras"]}
    print(row, flush=True)
    return row


def _step(model: keras.Model, context: object) -> Callable[[], object]:
    """Forward and backward, traced in a context, and run once."""
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (BATCH, SIZE, SIZE, 3)), tf.float32)
    labels = tf.constant(np.arange(BATCH) % 10)

    @tf.function
    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(labels, model(images, training=True))
        return tape.gradient(losses, model.trainable_variables)

    with context:
        step()
    return step


if __name__ == "__main__":
    main()
