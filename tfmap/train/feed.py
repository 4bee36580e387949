"""The batches of a training, and what class balance asks of the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmap import pipeline, signatures
from tfmap.errors import InputError
from tfmap.source import Source, Split


class Feed:
    """Training and validation batches for one model.

    Args:
        model: says the size of the pictures.
        source: must have a split "train"; "val" is optional.
        task: says how a picture is prepared.
        options: keyword arguments of `pipeline.batches`.
        seed: seed of the order.

    Raises:
        InputError: an option that the pipeline does not have, or of another type.
    """

    def __init__(
        self, model: keras.Model, source: Source, task: ModuleType, *, options: Mapping[str, Any], seed: int
    ) -> None:
        for name, value in options.items():
            signatures.key(f"pipeline.{name}", "training").check(value, "training")
        self.split = source.split("train")
        self.validation = source.splits.get("val")
        height, width, channels = model.input_shape[1:]
        self._options = {"size": (height, width), "channels": channels, "prepare": task.prepare, **options}
        self._seed = seed
        self.batch_size = min(int(options.get("batch_size", 32)), len(self.split))
        self.steps = pipeline.steps_per_epoch(self.split, self.batch_size)

    def train(self, epoch: int, step: int, epochs: int) -> tf.data.Dataset:
        """`epochs` epochs of training batches, from batch `step` of `epoch` on."""
        options = {**self._options, "batch_size": self.batch_size}
        return pipeline.batches(
            self.split, training=True, seed=self._seed, epoch=epoch, step=step, epochs=epochs, **options
        )

    def val(self) -> tf.data.Dataset | None:
        """The validation batches, in order, without their ids (strings cannot go to a GPU)."""
        if self.validation is None or not len(self.validation):
            return None
        options = {key: value for key, value in self._options.items() if key != "crop"}
        batches = pipeline.batches(self.validation, training=False, **options)
        return batches.map(lambda batch: {key: value for key, value in batch.items() if key != "id"})


def class_weights(setting: str | Sequence[float], split: Split, classes: int) -> list[float] | None:
    """Factor per class on the loss.

    Args:
        setting: "none"; "balanced" for N / (K * n_k), which gives each class the same share of the loss; or K numbers.
        split: the training split.
        classes: number of classes K.

    Raises:
        InputError: another word, or not K numbers above 0.
    """
    if setting == "none":
        return None
    if setting == "balanced":
        counts = split.labels.sum(axis=0) if split.labels.ndim == 2 else np.bincount(split.labels, minlength=classes)
        factors = len(split) / (classes * np.maximum(counts, 1))
        return [float(factor) for factor in factors]
    if isinstance(setting, str) or len(setting) != classes or min(setting) <= 0:
        raise InputError(
            f"train.class_weights must be none, balanced or {classes} numbers above 0, received {setting!r}."
        )
    return [float(factor) for factor in setting]
