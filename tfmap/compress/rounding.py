"""Fine-tuning with kernels that are rounded in every step: what cannot be rounded afterwards is learnt with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tf_keras
from keras import ops

from tfmap.compress import bridge
from tfmap.compress.finetune import Feed, FineTuning, fine_tune
from tfmap.compress.hosted import SCOPE

Rounding = Callable[[Any], Any]


def fine_tuned(
    model: keras.Model, feed: Feed, how: FineTuning, step: str, plan: Callable[[tf_keras.Model], Mapping[str, Rounding]]
) -> keras.Model:
    """A model that has learnt with rounded kernels and is left with them; weights that are zero stay zero.

    Args:
        model: Keras 3 model; it is left as it is.
        feed: batches.
        how: the fine-tuning.
        step: its name, for the progress lines.
        plan: bridged model -> name of a layer -> kernel float32 (..., C) -> what is used instead, same shape.

    Returns:
        keras.Model: a new Keras 3 model.
    """
    legacy = bridge.to_tf_keras(model)
    roundings = plan(legacy)

    def wrap(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        return Rounded(layer, roundings[layer.name]) if layer.name in roundings else layer

    wrapped = _cloned(legacy, wrap)
    fine_tune(wrapped, feed, how, keep_from=-1, step=step)
    return bridge.brought_home(_cloned(wrapped, _settled), model)


class Rounded(tf_keras.layers.Wrapper):
    """A layer that computes with a rounded kernel; gradients reach the kernel behind it as if it had not been rounded.

    Args:
        layer: built, with a kernel. What is zero in it stays zero.
        rounding: kernel -> kernel, same shape; zeros are left alone.

    Source: Bengio et al., Estimating or propagating gradients through stochastic neurons, 2013 (straight-through).
    """

    def __init__(self, layer: tf_keras.layers.Layer, rounding: Rounding, **kwargs: Any) -> None:
        super().__init__(layer, name=f"rounded_{layer.name}", **kwargs)
        self.rounding = rounding
        self._alive = ops.convert_to_numpy(layer.kernel) != 0

    def used(self) -> Any:
        """The kernel that the layer computes with."""
        learnt = self.layer.kernel * self._alive.astype("float32")
        return learnt + ops.stop_gradient(self.rounding(learnt) - learnt)

    def call(self, inputs: Any) -> Any:
        """As the layer's."""
        learnt = self.layer.kernel
        # Past Keras' bookkeeping: to it the layer keeps the variable that it learns.
        object.__setattr__(self.layer, "kernel", self.used())
        try:
            return self.layer.call(inputs)
        finally:
            object.__setattr__(self.layer, "kernel", learnt)


def _settled(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    """A layer without its wrapper, its kernel as it was used."""
    if not isinstance(layer, Rounded):
        return layer
    layer.layer.kernel.assign(layer.used())
    return layer.layer


def _cloned(model: tf_keras.Model, function: Any) -> tf_keras.Model:
    """The graph with other layers in the places of its own; the same variables."""
    with tf_keras.utils.custom_object_scope(SCOPE):
        return tf_keras.models.clone_model(model, clone_function=function)
