"""Augmentation: one warp and one colour product beside the chain of Keras layers that does the same ops.

    python -m benchmarks.augment [--batch 32] [--side 224] [--rounds 15]

Everything runs on one uint8 batch in one process, inside a tf.function as in a training step, in rounds: every entrant
once, then again, so that a busy moment of the machine meets all of them. The figures are medians for one batch: time
on the clock, and that of all cores together, which other programs on the machine disturb less.
The last rows are what the sampler was chosen from: one gather program in plain graph mode or compiled, and TensorFlow's
own projective transform followed by a compiled colour product.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from benchmarks import results
from tfmap import augment
from tfmap.augment.draws import Draw

NINE = "flip|rotate(15)|zoom(.2)|shift(.1)|shear(10)|brightness(.2)|contrast(.2)|saturation(.2)|hue(.05)"
GEOMETRY, COLOURS = NINE.split("|brightness")[0], "brightness" + NINE.split("|brightness")[1]
SEED = (0, 1)


def main() -> None:
    """Time every entrant and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    shape = (arguments.batch, arguments.side, arguments.side, 3)
    images = tf.constant(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    times = race(entrants(), images, arguments.rounds)
    ours = next(iter(times.values()))
    rows = [
        {
            "augmentation": name,
            "ms": clock,
            "core ms": cores,
            "times ours": clock / ours[0],
            "in core ms": cores / ours[1],
        }
        for name, (clock, cores) in times.items()
    ]
    results.write("augment", f"uint8 {shape}, median of {arguments.rounds}", rows)


def entrants() -> dict[str, Callable]:
    """Name -> images -> images; ours first."""
    layers = keras.layers
    chain = keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(15 / 360),
            layers.RandomZoom(0.2),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomShear(0.18, 0.18),
            layers.RandomBrightness(0.2),
            layers.RandomContrast(0.2),
            layers.RandomSaturation(0.2, value_range=(0, 255)),
            layers.RandomHue(0.05, value_range=(0, 255)),
        ]
    )
    rand_augment = layers.RandAugment()
    return {
        "tfmap, nine ops": _policy(NINE),
        "tfmap, rrc|flip|color": _policy("rrc(0.3,1)|flip|color(.4)"),
        "tfmap, rrc|flip|color|erase|mix": _policy("rrc(0.3,1)|flip|color(.4)|erase|mix"),
        "tfmap, five geometric ops": _policy(GEOMETRY),
        "tfmap, four colour ops": _policy(COLOURS),
        "keras, chain of nine layers": tf.function(lambda images: chain(tf.cast(images, tf.float32), training=True)),
        "keras RandAugment": tf.function(lambda images: rand_augment(tf.cast(images, tf.float32), training=True)),
        "sampler: gather, graph mode": _uncompiled(NINE),
        "sampler: projective transform, then colour under XLA": _projective(),
    }


def race(functions: dict[str, Callable], images: tf.Tensor, rounds: int) -> dict[str, tuple[float, float]]:
    """Median milliseconds of one call of each after a warm-up, (on the clock, of all cores together)."""
    for function in functions.values():
        function(images)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start, cores = time.perf_counter(), time.process_time()
            np.asarray(function(images))
            times[name].append((1000 * (time.perf_counter() - start), 1000 * (time.process_time() - cores)))
    return {name: tuple(map(float, np.median(values, axis=0))) for name, values in times.items()}


def _policy(ops: str) -> Callable:
    policy = augment.build(ops, classes=2)

    def run(images: tf.Tensor) -> tf.Tensor:
        return policy({"image": images, "label": tf.zeros(len(images), tf.int32)}, SEED)["image"]

    return tf.function(run)


def _uncompiled(ops: str) -> Callable:
    policy = augment.build(ops)
    return tf.function(lambda images: policy._apply({"image": images}, tf.constant(SEED, tf.uint32))["image"])


def _projective() -> Callable:
    """TensorFlow's own warp for the same five maps, then our colours."""
    colours, calls = augment.build(COLOURS), augment.parse(GEOMETRY)

    def run(images: tf.Tensor) -> tf.Tensor:
        draw = Draw(tf.constant(SEED, tf.uint32), images)
        m = draw.maps.identity(len(images))
        for call in calls:
            m = draw.maps.compose(m, call.function(draw, **call.arguments))
        # its order is x before y; half a pixel of its convention does not matter for a timing
        rows = [m[:, 1, 1], m[:, 1, 0], m[:, 1, 2], m[:, 0, 1], m[:, 0, 0], m[:, 0, 2], m[:, 2, 1], m[:, 2, 0]]
        warped = tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack(rows, axis=-1),
            output_shape=images.shape[1:3],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="REFLECT",
        )
        return colours({"image": warped}, SEED)["image"]

    return tf.function(run)


if __name__ == "__main__":
    main()
