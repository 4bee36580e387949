"""What of a network stays float while it learns with rounding: from the last kernels to an output that 256 levels are
too few for."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from tfmap.compress.walk import bare


def layers(legacy: tf_keras.Model, output: str) -> set[str]:
    """Names of the layers from the last kernels to an output, those with kernels too.

    Args:
        legacy: a bridged model with named outputs.
        output: its name.
    """
    waiting = [_maker(legacy.output[output])]
    found: set[str] = set()
    while waiting:
        layer = waiting.pop()
        found.add(layer.name)
        if not layer.weights:
            waiting += [before for node in layer.inbound_nodes for before in tf.nest.flatten(node.inbound_layers)]
    return found


def kernels(model: tf_keras.Model) -> list[tf.Variable]:
    """The kernels that learn without rounding: of layers that tfmot has not wrapped.

    Args:
        model: what tfmot's quantize_apply returned.
    """
    plain = [layer for layer in model.layers if bare(layer) is layer]
    return [weight for layer in plain for weight in layer.trainable_weights if "kernel" in weight.name]


def _maker(tensor: Any) -> tf_keras.layers.Layer:
    """The layer that gives a tensor."""
    return tensor._keras_history.layer
