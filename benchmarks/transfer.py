"""Transfer learning on TrashNet: tfmap beside plain Keras fine-tuning, same backbone, pictures, split and input size.

    python -m benchmarks.transfer FOLDER [--seeds 3]

FOLDER holds the six class folders of TrashNet (2,527 pictures). Plain Keras is fine-tuning as it is usually written: a
frozen backbone under a new head, then everything at a lower rate. Its settings are the best of seven tried with seed 0
(second rate 1e-3, 3e-4; statistics frozen, live; none, flip, flip and rotation): 85.5%, the others 47 to 85%.
"""

from __future__ import annotations

import argparse
import time

import keras
import numpy as np
import tensorflow as tf

import tfmap
from benchmarks import results
from tfmap import evaluate, models

SIZE = 160
OURS = {
    "augment": "rrc(0.4,1)|flip|vflip|rotate(20)|color(.2)",
    "pipeline": {"batch_size": 32},
    "head_epochs": 1,
    "head_learning_rate": 5e-3,
    "epochs": 20,
    "learning_rate": 3e-3,
    "layer_decay": 0.9,
    "unfreeze": "P3",
    "ema": 0.98,
}


def main() -> None:
    """Run both for every seed and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    for seed in range(arguments.seeds):
        source = tfmap.load(arguments.folder, seed=seed)
        for name, train in (("plain Keras", plain_keras), ("tfmap", ours)):
            keras.utils.clear_session()
            start = time.perf_counter()
            model = train(source, seed)
            seconds = time.perf_counter() - start
            found = evaluate.evaluate(model, source.split("val"), classes=source.classes)["metrics"]
            rows.append({"seed": seed, "method": name, "accuracy": found["accuracy"], "seconds": seconds})
            print(rows[-1], flush=True)
    results.write("transfer", f"TrashNet, MobileNetV1-0.25 at {SIZE} px, validation accuracy", [*rows, *_means(rows)])


def _means(rows: list[dict]) -> list[dict]:
    """A row per method, over the seeds."""
    return [
        {
            "seed": "mean",
            "method": method,
            "accuracy": float(np.mean([row["accuracy"] for row in rows if row["method"] == method])),
            "seconds": float(np.mean([row["seconds"] for row in rows if row["method"] == method])),
        }
        for method in dict.fromkeys(row["method"] for row in rows)
    ]


def ours(source: tfmap.source.Source, seed: int) -> keras.Model:
    """tfmap's way."""
    keras.utils.set_random_seed(seed)
    model = tfmap.build_classifier("mobilenet_v1_025", classes=len(source.classes), input_shape=(SIZE, SIZE, 3))
    return tfmap.fit(model, source, seed=seed, verbose=False, **OURS)


def plain_keras(source: tfmap.source.Source, seed: int) -> keras.Model:
    """4 epochs of the head, 6 of everything."""
    keras.utils.set_random_seed(seed)
    body = models.build("mobilenet_v1_025", input_shape=(SIZE, SIZE, 3), weights="imagenet")
    body = keras.Model(body.input, list(body.output.values())[-1])
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(body(keras.layers.RandomFlip("horizontal")(image)))
    model = keras.Model(image, keras.layers.Dense(len(source.classes), "softmax")(keras.layers.Dropout(0.2)(x)))
    train, val = _plain_batches(source.split("train"), True), _plain_batches(source.split("val"), False)
    for trainable, rate, epochs in ((False, 1e-3, 4), (True, 3e-4, 6)):
        body.trainable = trainable
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(train, validation_data=val, epochs=epochs, verbose=0)
    return model


def _plain_batches(split: tfmap.source.Split, shuffle: bool) -> tf.data.Dataset:
    """What keras.utils.image_dataset_from_directory builds, on our split."""

    def read(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.image.resize(image, (SIZE, SIZE)), label

    data = tf.data.Dataset.from_tensor_slices((split.images.astype(str), split.labels))
    data = data.shuffle(len(split)) if shuffle else data
    return data.map(read, tf.data.AUTOTUNE).batch(32).prefetch(tf.data.AUTOTUNE)


if __name__ == "__main__":
    main()
