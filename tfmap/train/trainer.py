"""One training step: augment on the device, forward, loss, backward, update."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf
from keras import ops

# These layers of a model stay float32 under mixed precision: a softmax over float16 overflows.
FLOAT32_LAYERS = ("logits", "probabilities")


class Trainer(keras.Model):
    """Wraps a model for training; augmentation and targets live here, so the model that is saved holds neither.

    Args:
        net: the model to train.
        policy: augmentation, (batch, seed) -> batch.
        targets: augmented batch -> training targets (with label smoothing), on the device.
        truths: batch -> targets as they are, for validation.
        seed: base of the augmentation's draws; the optimizer's step and the replica are folded in.
    """

    def __init__(
        self,
        net: keras.Model,
        *,
        policy: Callable[[dict, Any], dict],
        targets: Callable[[dict], Any],
        truths: Callable[[dict], Any],
        seed: int,
    ) -> None:
        super().__init__(name="trainer", dtype=net.dtype_policy)
        self.net = net
        self.policy = policy
        self.targets = targets
        self.truths = truths
        self.seed = seed

    def call(self, image: Any, training: bool = False) -> Any:
        """The model's outputs. Args: image float32 (B, H, W, C), values 0..255."""
        return self.net(image, training=training)

    def train_step(self, batch: dict) -> dict[str, Any]:
        """Keras' own step on the augmented batch."""
        batch = self.policy(batch, self._draw_seed())
        return super().train_step((_image(batch), self.targets(batch), batch["weight"]))

    def test_step(self, batch: dict) -> dict[str, Any]:
        """Keras' own step on the batch as it is."""
        return super().test_step((_image(batch), self.truths(batch), batch["weight"]))

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Under a strategy Keras builds loss and metrics before the first step, from a batch that it takes away from
        the epoch and expects to be a tuple. Shapes are enough, and they are known."""
        strategy = self._distribute_strategy
        if strategy is not None:
            outputs = self.net.output_shape
            shapes = (self.net.input_shape, "float32"), (outputs, "float32"), (outputs[:1], "float32")
            with strategy.scope():
                self._symbolic_build(data_batch=tuple(keras.KerasTensor(shape, dtype) for shape, dtype in shapes))

    def _draw_seed(self) -> tf.Tensor:
        """int32 (2,): differs between steps, replicas and phases; the same again after a resume."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # The phases of one run have consecutive seeds, so replicas are spread by a prime far above their number.
        return tf.stack([self.seed + 7919 * replica, tf.cast(self.optimizer.iterations, tf.int32)])


def _image(batch: dict) -> Any:
    return ops.cast(batch["image"], "float32")


def make(
    net: keras.Model, task: ModuleType, *, policy: Callable[[dict, Any], dict], seed: int, smoothing: float
) -> Trainer:
    """A Trainer for the task's targets; its validation targets are not smoothed."""
    classes = net.output_shape[-1]
    return Trainer(
        net,
        policy=policy,
        targets=lambda batch: task.targets(batch, classes=classes, label_smoothing=smoothing),
        truths=lambda batch: task.targets(batch, classes=classes),
        seed=seed,
    )


def in_precision(model: keras.Model, precision: str) -> keras.Model:
    """A twin of `model` that computes in another precision; the same weights, in float32.

    The model itself stays float32, so nothing downstream (compression, conversion) ever meets a mixed one.
    """
    if precision == "float32":
        return model

    def clone(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        keep = layer.name in FLOAT32_LAYERS
        return type(layer).from_config({**config, "dtype": "float32" if keep else precision})

    twin = keras.models.clone_model(model, clone_function=clone)
    twin.set_weights(model.get_weights())
    for layer, original in zip(twin.layers, model.layers, strict=True):
        layer.trainable = original.trainable
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with constants made of its weights
    return twin
