"""The batches of a training."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from tfmap import pipeline, signatures
from tfmap.source import Source


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
        *size, channels = model.input_shape[1:]
        self.size = tuple(size)
        self._options = {"size": self.size, "channels": channels, "prepare": task.prepare, **options}
        self._seed = seed
        self.batch_size = min(int(options.get("batch_size", 32)), len(self.split))
        self.steps = pipeline.steps_per_epoch(self.split, self.batch_size)

    def train(self, epoch: int, step: int, epochs: int, size: tuple[int, int] | None = None) -> tf.data.Dataset:
        """`epochs` epochs of training batches, from batch `step` of `epoch` on, of the model's size or another."""
        options = {**self._options, "batch_size": self.batch_size, "size": size or self.size}
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
