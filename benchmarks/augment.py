"""Augmentation: one warp, one colour product and one table beside the same ops of Keras and torchvision, one by one.

    python -m benchmarks.augment [--batch 32] [--side 224] [--rounds 15]

Everything runs on one uint8 batch in one process, inside a tf.function as in a training step, in rounds: every entrant
once, then again with the next seed, so that a busy moment of the machine meets all of them. The figures are medians for
one batch: time on the clock, and that of all cores together, which other programs on the machine disturb less. Each
rival is divided by our policy of the same ops, named in its row. torchvision runs where it is installed: on the whole
uint8 batch where its ops draw once for all pictures, which is less than what ours draw, and picture by picture for its
RandAugment.
The last rows are what the sampler was chosen from: one gather program in plain graph mode or compiled, and TensorFlow's
own projective transform followed by a compiled colour product.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

try:  # before TensorFlow: the other way round the LLVM of one meets that of the other, and the process ends
    import torch
    from torchvision.transforms import v2
except ImportError:
    v2 = None

import keras
import numpy as np
import tensorflow as tf

from benchmarks import results
from tfmap import augment
from tfmap.augment.draws import Draw

NINE = "flip|rotate(15)|zoom(.2)|shift(.1)|shear(10)|brightness(.2)|contrast(.2)|saturation(.2)|hue(.05)"
GEOMETRY, COLOURS = NINE.split("|brightness")[0], "brightness" + NINE.split("|brightness")[1]
OURS = {
    "nine ops": NINE,
    "rrc|flip|color": "rrc(0.3,1)|flip|color(.4)",
    "rrc|flip|color|erase|mix": "rrc(0.3,1)|flip|color(.4)|erase|mix",
    "five geometric ops": GEOMETRY,
    "four colour ops": COLOURS,
    "randaugment": "randaugment",
    "trivialaugment": "trivialaugment",
    "autoaugment": "autoaugment('imagenet')",
    "augmix": "augmix",
    "rrc|flip|randaugment|erase|mix": "rrc(0.3,1)|flip|randaugment|erase|mix",
}
SAME_OPS = {
    "keras, chain of nine layers": "tfmap, nine ops",
    "keras RandAugment": "tfmap, randaugment",
    "keras AugMix": "tfmap, augmix",
    "torchvision v2, nine ops, one draw a batch": "tfmap, nine ops",
    "torchvision v2, nine ops": "tfmap, nine ops",
    "torchvision v2 RandAugment": "tfmap, randaugment",
    "sampler: gather, graph mode": "tfmap, nine ops",
    "sampler: projective transform, then colour under XLA": "tfmap, nine ops",
}


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
    rows = []
    for name, (clock, cores, first) in times.items():
        row = {"augmentation": name, "ms": clock, "core ms": cores, "first call s": first}
        if rival := SAME_OPS.get(name):
            row |= {"same ops": rival, "times ours": clock / times[rival][0], "in core ms": cores / times[rival][1]}
        rows.append(row)
    results.write("augment", f"uint8 {shape}, median of {arguments.rounds}", rows)


def entrants() -> dict[str, Callable]:
    """Name -> (images, step) -> images; ours first."""
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
    return {
        **{f"tfmap, {name}": _policy(ops) for name, ops in OURS.items()},
        "keras, chain of nine layers": _layer(chain),
        "keras RandAugment": _layer(layers.RandAugment()),
        "keras AugMix": _layer(layers.AugMix()),
        **_torchvision(),
        "sampler: gather, graph mode": _uncompiled(NINE),
        "sampler: projective transform, then colour under XLA": _projective(),
    }


def race(functions: dict[str, Callable], images: tf.Tensor, rounds: int) -> dict[str, tuple[float, float, float]]:
    """Medians of one call of each: milliseconds on the clock, of all cores together; and seconds of the first call."""
    first = {}
    for name, function in functions.items():
        start = time.perf_counter()
        function(images, tf.constant(0))
        first[name] = time.perf_counter() - start
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for step in range(rounds):
        for name, function in functions.items():
            start, cores = time.perf_counter(), time.process_time()
            np.asarray(function(images, tf.constant(step)))
            times[name].append((1000 * (time.perf_counter() - start), 1000 * (time.process_time() - cores)))
    return {name: (*map(float, np.median(values, axis=0)), first[name]) for name, values in times.items()}


def _layer(layer: Callable) -> Callable:
    return tf.function(lambda images, step: layer(tf.cast(images, tf.float32), training=True))


def _torchvision() -> dict[str, Callable]:
    """The nine ops on a whole batch, and RandAugment picture by picture; nothing where it is not installed."""
    if v2 is None:
        return {}
    affine = v2.RandomAffine(15, (0.1, 0.1), (0.8, 1.2), (-10, 10, -10, 10), v2.InterpolationMode.BILINEAR)
    nine = v2.Compose([v2.RandomHorizontalFlip(), affine, v2.ColorJitter(0.2, 0.2, 0.2, 0.05)])
    rand_augment = v2.RandAugment(interpolation=v2.InterpolationMode.BILINEAR)
    return {
        "torchvision v2, nine ops, one draw a batch": lambda images, step: nine(_torch(images)),
        "torchvision v2, nine ops": lambda images, step: torch.stack([nine(one) for one in _torch(images)]),
        "torchvision v2 RandAugment": lambda images, step: torch.stack([rand_augment(one) for one in _torch(images)]),
    }


def _torch(images: tf.Tensor) -> object:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)


def _policy(ops: str) -> Callable:
    policy = augment.build(ops, classes=2)

    def run(images: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return policy({"image": images, "label": tf.zeros(len(images), tf.int32)}, (0, step))["image"]

    return tf.function(run)


def _uncompiled(ops: str) -> Callable:
    policy = augment.build(ops)
    return tf.function(lambda images, step: policy._apply({"image": images}, tf.cast([0, step], tf.uint32))["image"])


def _projective() -> Callable:
    """TensorFlow's own warp for the same five maps, then our colours."""
    colours, calls = augment.build(COLOURS), augment.parse(GEOMETRY)

    def run(images: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        draw = Draw(tf.cast([0, step], tf.uint32), images)
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
        return colours({"image": warped}, (0, step))["image"]

    return tf.function(run)


if __name__ == "__main__":
    main()
