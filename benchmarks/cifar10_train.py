"""A long training on CIFAR-10 by pure Keras, on the fastest backend that is at hand; a cut one goes on.

    KERAS_BACKEND=torch python -m benchmarks.cifar10_train CONFIG FILE.npz RUN

On two cores, PyTorch in bfloat16 takes half of TensorFlow's time. Reads model, augmentation (shift and flip, here in
NumPy) and rates from the config, learns all 50,000 pictures and keeps the last epoch: nothing is chosen by the 10,000
test pictures that the log shows. Leaves history.csv and what `python -m tfmap.export RUN` needs. FILE.npz holds
x_train, y_train, x_test and y_test.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.torch_norm import TorchNorm
from tfmap import config, runs
from tfmap.augment import grammar
from tfmap.progress import shown
from tfmap.tasks import classification
from tfmap.train import optimizers, trainer

CLASSES = 10
COLUMNS = ("epoch", "loss", "accuracy", "test_accuracy", "seconds")
Draw = np.random.Generator


def main(path: str, file: str, folder: str) -> None:
    """Train, or go on."""
    recipe = config.override(config.read(Path(path)), [f"datasets.source={file}", f"out={folder}"])
    train, run, data = recipe["train"], runs.Run(folder), dict(np.load(file))
    run.write_text("config.yaml", config.dump(recipe))
    keras.utils.set_random_seed(recipe.get("seed", 0))
    model = classification.build(classes=CLASSES, **recipe["model"])
    net = learner(model, train.get("precision", "float32"))
    pictures = Pictures(data, grammar.parse(recipe["augment"]["ops"]), recipe["pipeline"]["batch_size"])
    _compile(net, train, pictures.steps)
    rows = _restore(net, run)
    for epoch in range(len(rows), train["epochs"]):
        start, learnt = time.monotonic(), _learn(net, pictures, epoch)
        right = net.evaluate(data["x_test"].astype("float32"), data["y_test"], batch_size=500, verbose=0)[1]
        rows.append([epoch + 1, *learnt, right, round(time.monotonic() - start, 1)])
        _keep(net, run, rows)
        print(dict(zip(COLUMNS, rows[-1], strict=True)), flush=True)
    model.set_weights(net.get_weights())
    with runs.replacing(run.file("model.keras")) as target:
        model.save(target)


def learner(model: keras.Model, precision: str) -> keras.Model:
    """A twin that computes in this precision and, on PyTorch, with its own normalisation; the same weights."""

    def clone(layer: keras.Layer) -> keras.Layer:
        torch = keras.backend.backend() == "torch" and isinstance(layer, keras.layers.BatchNormalization)
        kind = TorchNorm if torch else type(layer)
        dtype = "float32" if layer.name in trainer.FLOAT32_LAYERS else precision
        return kind.from_config({**layer.get_config(), "dtype": dtype, **({"momentum": 0.9} if torch else {})})

    twin = keras.models.clone_model(model, clone_function=clone)
    twin.set_weights(model.get_weights())
    return twin


def _compile(net: keras.Model, train: Mapping[str, Any], steps: int) -> None:
    rate, warmup = train["learning_rate"], train.get("warmup", 0.1)
    schedule = optimizers.warmup_cosine(rate, steps=steps * train["epochs"], warmup=warmup)
    options = {"factors": {}, "weight_decay": train["weight_decay"], "clip_norm": None, "accumulate": 1}
    optimizer = optimizers.build(train["optimizer"], schedule=schedule, **options)
    optimizer.build(net.trainable_variables)
    net.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])


def _learn(net: keras.Model, pictures: Pictures, epoch: int) -> tuple[float, float]:
    """An epoch; loss and accuracy over it."""
    net.reset_metrics()
    for batch in shown(pictures.epoch(epoch), pictures.steps, f"epoch {epoch + 1}"):
        found = net.train_on_batch(*batch, return_dict=True)
    return float(found["loss"]), float(found["accuracy"])


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
        data: x_train uint8 (N, H, W, 3) and y_train (N,).
        calls: of shift and flip.
        size: of a batch.
    """

    def __init__(self, data: Mapping[str, np.ndarray], calls: tuple[grammar.Call, ...], size: int) -> None:
        self.images, self.labels = data["x_train"], data["y_train"].astype("int32")
        self.size, self.steps = size, len(self.images) // size
        self._ops = [(OPS[call.name], call.arguments) for call in calls]

    def epoch(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches: float32 (B, H, W, 3), values 0..255, and int32 (B,)."""
        draw = np.random.default_rng([number, 10])
        for rows in draw.permutation(len(self.images))[: self.steps * self.size].reshape(self.steps, self.size):
            images = self.images[rows]
            for function, arguments in self._ops:
                images = function(images, draw, **arguments)
            yield images.astype("float32"), self.labels[rows]


def shift(images: np.ndarray, draw: Draw, factor: float) -> np.ndarray:
    """Whole pixels, the picture mirrored at its edge."""
    height, width = images.shape[1:3]
    most = round(factor * height)
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), "reflect")
    tops, lefts = draw.integers(0, 2 * most + 1, (2, len(images)))
    return np.stack([p[y : y + height, x : x + width] for p, y, x in zip(padded, tops, lefts, strict=True)])


def flip(images: np.ndarray, draw: Draw, p: float) -> np.ndarray:
    """Left to right."""
    return np.where((draw.random(len(images)) < p)[:, None, None, None], images[:, :, ::-1], images)


OPS: dict[str, Callable] = {"shift": shift, "flip": flip}

if __name__ == "__main__":
    main(*sys.argv[1:])
