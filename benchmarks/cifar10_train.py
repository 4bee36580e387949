"""A long training on CIFAR-10 by pure Keras on PyTorch's kernels; a cut one goes on.

    KERAS_BACKEND=torch python -m benchmarks.cifar10_train CONFIG FILE.npz RUN [KEY=VALUE ...] [--bits 4]
        [--start FILE.keras] [--teacher FILE.keras]

On two cores PyTorch takes half of TensorFlow's time, and less than half of that with train.precision=mixed_bfloat16 on
a processor with units for it (AMX). Reads model, augmentation (shift and flip, here in NumPy) and rates from the
config, learns all 50,000 pictures and keeps the last epoch: nothing is chosen by the 10,000 test
pictures that the log shows. With --bits 4 kernels are rounded to 4 bits after ROUNDED_FROM of the training, so that
`python -m tfmap.export RUN export.format=int4` finds nothing left to round in them; --start goes on from a classifier's
weights, rounded from the first step; a --teacher's opinions of each picture and its mirror image make up TAUGHT of its
label (Bagherinezhad et al., Label Refinery, 2018). Leaves history.csv and what export needs. FILE.npz holds x_train,
y_train, x_test and y_test.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks import torch_layers
from tfmap import config, runs
from tfmap.augment import grammar
from tfmap.progress import shown
from tfmap.tasks import classification
from tfmap.train import optimizers

CLASSES = 10
COLUMNS = ("epoch", "loss", "accuracy", "test_accuracy", "seconds")
ROUNDED_FROM = 0.4  # of the epochs
TAUGHT = 0.7
LOOKED_AT = 5  # epochs between two scores on the test pictures
Draw = np.random.Generator


def main() -> None:
    """Train, or go on."""
    wishes = _wishes()
    places = [f"datasets.source={wishes.file}", f"out={wishes.run}"]
    recipe = config.override(config.read(wishes.config), [*places, *wishes.settings])
    train, run, data = recipe["train"], runs.Run(wishes.run), dict(np.load(wishes.file))
    run.write_text("config.yaml", config.dump(recipe))
    keras.utils.set_random_seed(recipe.get("seed", 0))
    model = classification.build(classes=CLASSES, **recipe["model"])
    if wishes.start:
        model.set_weights(keras.saving.load_model(wishes.start, compile=False).get_weights())
    net = torch_layers.twin(model)
    ops, labels = grammar.parse(recipe["augment"]["ops"]), _labels(data, wishes.teacher)
    pictures = Pictures(data["x_train"], labels, ops, recipe["pipeline"]["batch_size"])
    _compile(net, train, pictures.steps)
    rows = _restore(net, run)
    for epoch in range(len(rows), train["epochs"]):
        rounds = wishes.start or epoch >= ROUNDED_FROM * train["epochs"]
        torch_layers.round_kernels(net, wishes.bits if rounds else 0)
        start = time.monotonic()
        with torch_layers.computing_in(train["precision"]):
            learnt = _learn(net, pictures, epoch)
        looked = epoch % LOOKED_AT == LOOKED_AT - 1 or epoch + 1 == train["epochs"]
        right = _right(net, data) if looked else float("nan")
        rows.append([epoch + 1, *learnt, right, round(time.monotonic() - start, 1)])
        _keep(net, run, rows)
        print(dict(zip(COLUMNS, rows[-1], strict=True)), flush=True)
    model.set_weights(torch_layers.used_weights(net))
    with runs.replacing(run.file("model.keras")) as target:
        model.save(target)


def _wishes() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("file", help="NPZ of CIFAR-10")
    parser.add_argument("run", help="folder")
    parser.add_argument("settings", nargs="*", help="KEY=VALUE over the config's")
    parser.add_argument("--bits", type=int, default=0, choices=(0, 2, 4), help="of kernels")
    parser.add_argument("--start", type=Path, help="a .keras file of the same network")
    parser.add_argument("--teacher", type=Path, help="a .keras classifier")
    return parser.parse_args()


def _labels(data: Mapping[str, np.ndarray], teacher: Path | None) -> np.ndarray:
    """Float32 (N, K)."""
    known, images = np.eye(CLASSES, dtype="float32")[data["y_train"].ravel()], data["x_train"]
    if teacher is None:
        return known
    net = torch_layers.twin(keras.saving.load_model(teacher, compile=False))
    views = [net.predict(view.astype("float32"), batch_size=500, verbose=0) for view in (images, images[:, :, ::-1])]
    return (1 - TAUGHT) * known + TAUGHT * np.mean(views, axis=0)


def _compile(net: keras.Model, train: Mapping[str, Any], steps: int) -> None:
    rate, warmup = train["learning_rate"], train.get("warmup", 0.1)
    schedule = optimizers.warmup_cosine(rate, steps=steps * train["epochs"], warmup=warmup)
    options = {"factors": {}, "weight_decay": train["weight_decay"], "clip_norm": None, "accumulate": 1}
    optimizer = optimizers.build(train["optimizer"], schedule=schedule, **options)
    optimizer.build(net.trainable_variables)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=train["label_smoothing"])
    net.compile(optimizer, loss, metrics=["accuracy"])


def _right(net: keras.Model, data: Mapping[str, np.ndarray]) -> float:
    guesses = net.predict(data["x_test"].astype("float32"), batch_size=500, verbose=0).argmax(1)
    return float(np.mean(guesses == data["y_test"].ravel()))


def _learn(net: keras.Model, pictures: Pictures, epoch: int) -> tuple[float, float]:
    """An epoch; loss and accuracy over it."""
    found = [net.train_on_batch(*batch) for batch in shown(pictures.epoch(epoch), pictures.steps, f"epoch {epoch + 1}")]
    loss, right = np.mean(np.array(found, dtype="float64"), axis=0)
    return float(loss), float(right)


def _restore(net: keras.Model, run: runs.Run) -> list[list[float]]:
    """Put back what an earlier call has left; the history so far."""
    if not _state(run).exists():
        return []
    state = np.load(_state(run))
    for number, variable in enumerate([*net.variables, *net.optimizer.variables]):
        variable.assign(state[str(number)])
    return [list(row) for row in state["rows"]]


def _keep(net: keras.Model, run: runs.Run, rows: list[list[float]]) -> None:
    variables = [*net.variables, *net.optimizer.variables]
    arrays = {str(number): keras.ops.convert_to_numpy(variable) for number, variable in enumerate(variables)}
    with runs.replacing(_state(run)) as target:
        np.savez(target, rows=np.array(rows), **arrays)
    run.write_rows("history.csv", COLUMNS, rows)


def _state(run: runs.Run) -> Path:
    folder = run.file("checkpoints")
    folder.mkdir(exist_ok=True)
    return folder / "cifar10.npz"


class Pictures:
    """Augmented batches; an epoch is a function of its number.

    Args:
        images: uint8 (N, H, W, 3).
        labels: float32 (N, K).
        calls: of shift and flip.
        size: of a batch.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, calls: tuple[grammar.Call, ...], size: int) -> None:
        self.images, self.labels = images, labels
        self.size, self.steps = size, len(self.images) // size
        self._ops = [(OPS[call.name], call.arguments) for call in calls]

    def epoch(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches: float32 (B, H, W, 3), values 0..255, and float32 (B, K)."""
        draw = np.random.default_rng([number, 10])
        for rows in draw.permutation(len(self.images))[: self.steps * self.size].reshape(self.steps, self.size):
            images = self.images[rows]
            for function, arguments in self._ops:
                images = function(images, draw, rows + number, **arguments)
            yield images.astype("float32"), self.labels[rows]


def shift(images: np.ndarray, draw: Draw, turns: np.ndarray, factor: float) -> np.ndarray:
    """Whole pixels, the picture mirrored at its edge."""
    height, width = images.shape[1:3]
    most = round(factor * height)
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), "reflect")
    tops, lefts = draw.integers(0, 2 * most + 1, (2, len(images)))
    return np.stack([p[y : y + height, x : x + width] for p, y, x in zip(padded, tops, lefts, strict=True)])


def flip(images: np.ndarray, draw: Draw, turns: np.ndarray, p: float) -> np.ndarray:
    """Left to right in every other epoch, odd pictures first: half of them, whatever `p` says.

    Source: Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, 2024, section 3.6 (alternating flip).
    """
    return np.where((turns % 2 == 0)[:, None, None, None], images[:, :, ::-1], images)


OPS: dict[str, Callable] = {"shift": shift, "flip": flip}

if __name__ == "__main__":
    main()
