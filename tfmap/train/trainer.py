"""One training step: augment on the device, forward, loss, backward, update."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfmap.tasks import taught
from tfmap.train.scales import Size, Twin

# These layers of a task's model stay float32 under mixed precision: a softmax over float16 overflows, and a box at
# pixel 300 would be a quarter of one off.
FLOAT32_LAYERS = (
    *("codes", "boxes", "scores", "logits", "distributions"),
    *("proposal_codes", "proposal_boxes", "proposal_scores", "proposal_logits", "proposals"),
    *("small_logits", "probabilities"),
)


class Trainer(keras.Model):
    """Wraps a model for training; augmentation and targets live here, so the model that is saved holds neither.

    Outputs and targets may be any structure, such as a dict: Keras' own losses and metrics want one of each for every
    tensor in it, the loss and the metrics of a task see all of it.

    Args:
        net: the model to train.
        policy: augmentation, (batch, seed) -> batch.
        targets: augmented batch -> training targets (with label smoothing), on the device.
        truths: batch -> targets as they are, for validation.
        loss: (targets, outputs) -> loss of each example, float32 (B,); may read more of the model, see `tasks.taught`.
        shown: metrics of (targets, outputs), their variables made.
        seed: base of the augmentation's draws; the optimizer's step and the replica are folded in.
        twins: (height, width) of pictures of other sizes than the model's -> the network for them.
    """

    def __init__(
        self,
        net: keras.Model,
        *,
        policy: Callable[[dict, Any], dict],
        targets: Callable[[dict], Any],
        truths: Callable[[dict], Any],
        loss: Callable[[Any, Any], Any],
        shown: Sequence[keras.metrics.Metric],
        seed: int,
        twins: Mapping[Size, Twin] | None = None,
    ) -> None:
        super().__init__(name="trainer", dtype=net.dtype_policy)
        self.net = net
        self.said = taught.said(net, loss)
        self.policy = policy
        self.targets = targets
        self.truths = truths
        self.criterion = loss
        self.shown = list(shown)
        self.seed = seed
        self.twins = dict(twins or {})
        self._traced: dict[tuple[int, Size], Any] = {}

    def call(self, image: Any, training: bool = False) -> Any:
        """The model's outputs, and what else the loss reads. Args: image float32 (B, H, W, C), values 0..255."""
        return self.twins.get(_size(image), self.said)(image, training=training)

    def turn_to(self, policy: Callable[[dict, Any], dict], size: Size) -> None:
        """From the next batch on; the step is traced once for each policy and size, with shapes that are known."""
        self.policy, key = policy, (id(policy), size)
        self.train_function = self._traced.get(key)
        self.make_train_function()
        self._traced[key] = self.train_function

    def train_step(self, batch: dict) -> dict[str, Any]:
        """Keras' own step on the augmented batch."""
        batch = self.policy(batch, self._draw_seed())
        return super().train_step((_image(batch), self.targets(batch), batch["weight"]))

    def test_step(self, batch: dict) -> dict[str, Any]:
        """Keras' own step on the batch as it is."""
        return super().test_step((_image(batch), self.truths(batch), batch["weight"]))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Mean over the examples that count (weight above 0)."""
        twin = self.twins.get(_size(x))
        losses = (twin.loss if twin else self.criterion)(y, y_pred)
        return _Mean(name="loss", reduction="mean_with_sample_weight")(losses, losses, sample_weight)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Every metric looks at all of the outputs."""
        for metric in self.shown:
            metric.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing is left to build. Under a strategy Keras would take a batch away from the epoch to see about it."""

    def _draw_seed(self) -> tf.Tensor:
        """int32 (2,): differs between steps, replicas and phases; the same again after a resume."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # The phases of one run have consecutive seeds, so replicas are spread by a prime far above their number.
        return tf.stack([self.seed + 7919 * replica, tf.cast(self.optimizer.iterations, tf.int32)])


class _Mean(keras.losses.Loss):
    """Of losses that are known already, by Keras' way of sharing them out among replicas."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred


def _image(batch: dict) -> Any:
    return ops.cast(batch["image"], "float32")


def _size(image: Any) -> Size:
    height, width = image.shape[1:3]
    return height, width


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
