"""tfmap.compress beside tfmot used by hand on tf_keras: one network, the same weights, batches and epochs.

    python -m benchmarks.by_hand FOLDER [--seeds 3] [--epochs 6] [--models CACHE]

By hand means what tfmot's guides show: the network built once more with tf_keras, its convolutions and dense layers
wrapped for half of the weights, or all quantised by the default scheme, then `fit`; pictures are scaled in front of the
network, as tfmot knows no Rescaling. Both take the batches and the augmentation of tfmap, so that only compression
differs; "no teacher" is ours with the labels alone, as by hand. FOLDER holds TrashNet's class folders.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tf_keras

import tfmap
from benchmarks import results, waste
from tfmap import augment, compress, export, tasks
from tfmap.compress.finetune import FineTuning, example_of, examples
from tfmap.compress.legacy import tfmot
from tfmap.litert import LiteModel
from tfmap.source import Source
from tfmap.train.feed import Feed

SIDE = waste.SHAPE[0]
RATES = {"prune(0.5)": 1e-3, "qat": 1e-4}  # highest rate of Adam, the same on both sides
LAYERS = tf_keras.layers


def main() -> None:
    """Every way for every seed; then the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--models", default=tempfile.mkdtemp(prefix="tfmap-models-"))
    arguments = parser.parse_args()
    rows = []
    for seed in range(arguments.seeds):
        rows += _of_seed(seed, arguments)
    title = f"Half of the weights pruned, or trained with int8 rounding, {arguments.epochs} epochs: ours and by hand"
    results.write("by_hand", title, [*rows, *_means(rows)])


def _of_seed(seed: int, arguments: argparse.Namespace) -> list[dict]:
    source = tfmap.load("sample:trash", seed=seed)
    pictures = waste.judges(source, arguments.folder)
    model = waste.trained(source, seed, arguments.models)
    rows = []
    for recipe in RATES:
        ways = {"ours": _ours, "ours, no teacher": _without_teacher, "by hand": _by_hand}
        for way, function in ways.items():
            begin = time.perf_counter()
            predict = function(model, source, recipe, epochs=arguments.epochs, seed=seed)
            row = {"recipe": recipe, "way": way, "seed": seed, "seconds": time.perf_counter() - begin}
            scores = {name: predict(images) for name, (images, _) in pictures.items()}
            rows.append(row | waste.percent(scores, pictures))
            print(rows[-1], flush=True)
    return rows


def _ours(model: keras.Model, source: Source, recipe: str, *, epochs: int, seed: int, **more: Any) -> Callable:
    small = compress.compress(model, source, recipe=recipe, epochs=epochs, **waste.settings(seed), **more)
    return _file(small.to_tflite(), source) if recipe == "qat" else waste.of_keras(small)


def _without_teacher(*arguments: Any, **settings: Any) -> Callable:
    return _ours(*arguments, teacher_weight=0.0, **settings)


def _by_hand(model: keras.Model, source: Source, recipe: str, *, epochs: int, seed: int) -> Callable:
    """As tfmot's guides have it."""
    tf_keras.utils.set_random_seed(seed)
    config, classes = waste.CONFIG, len(source.classes)
    feed = Feed(model, source, tasks.get("classification"), options=config["pipeline"], seed=seed)
    policy = augment.build(config["augment"]["ops"], classes=classes)
    how = FineTuning(epochs=epochs, policy=policy, seed=seed)
    batches = examples(feed, how, example_of(classes)).map(_scaled_example)
    network = _copied(model)
    api, steps = tfmot(), feed.steps * epochs
    if recipe == "qat":
        wrapped, watchers = api.quantization.keras.quantize_model(network), []
    else:
        schedule = api.sparsity.keras.PolynomialDecay(0.0, 0.5, begin_step=0, end_step=steps // 2)
        wrapped = _pruning(network, schedule)
        watchers = [api.sparsity.keras.UpdatePruningStep()]
    rate = tf_keras.optimizers.schedules.CosineDecay(RATES[recipe], steps)
    wrapped.compile(tf_keras.optimizers.Adam(rate), "categorical_crossentropy", weighted_metrics=["accuracy"])
    val = feed.val().map(example_of(classes)).map(_scaled_example)
    wrapped.fit(batches, steps_per_epoch=feed.steps, epochs=epochs, validation_data=val, callbacks=watchers, verbose=0)
    if recipe == "qat":
        file = LiteModel(_converted(wrapped), threads=2)
        return lambda images: file.predict(_scaled(np.float32(images)))
    return lambda images: wrapped.predict(_scaled(np.float32(images)), verbose=0)


def _scaled(images: Any) -> Any:
    return images / 127.5 - 1.0


def _scaled_example(images: Any, *others: Any) -> tuple:
    return _scaled(images), *others


def _pruning(network: tf_keras.Model, schedule: Any) -> tf_keras.Model:
    prune = tfmot().sparsity.keras.prune_low_magnitude

    def wrap(layer: Any) -> Any:
        return prune(layer, pruning_schedule=schedule) if isinstance(layer, LAYERS.Conv2D | LAYERS.Dense) else layer

    return tf_keras.models.clone_model(network, clone_function=wrap)


def _copied(model: keras.Model) -> tf_keras.Model:
    """The network, written down in tf_keras, with the weights of the trained one."""
    image = LAYERS.Input((SIDE, SIDE, 3))
    body = tf_keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_tensor=image)
    x = LAYERS.Dropout(0.3)(LAYERS.GlobalAveragePooling2D()(body.output))
    network = tf_keras.Model(image, LAYERS.Dense(model.output_shape[-1], activation="softmax")(x))
    network.set_weights(model.get_weights())
    return network


def _converted(network: tf_keras.Model) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def _file(data: bytes, source: Source) -> Callable:
    return LiteModel(export.tflite(data, split=source.split("train"), classes=source.classes), threads=2).predict


def _means(rows: list[dict]) -> list[dict]:
    """Over the seeds, and the time beside that by hand."""
    means = []
    for row in rows:
        if row["seed"] == 0:
            same = [other for other in rows if (other["recipe"], other["way"]) == (row["recipe"], row["way"])]
            numbers = {
                key: float(np.mean([each[key] for each in same])) for key in ("seconds", "val", "outside", "all")
            }
            means.append({"recipe": row["recipe"], "way": row["way"], "seed": "mean", **numbers})
    hand = {row["recipe"]: row["seconds"] for row in means if row["way"] == "by hand"}
    return [row | {"time by hand = 1": row["seconds"] / hand[row["recipe"]]} for row in means]


if __name__ == "__main__":
    main()
