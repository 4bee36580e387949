"""The two ends of a network, few weights on which all others depend: they are left whole unless told otherwise."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

L = tf_keras.layers
KEPT = "the first convolution and the last kernel of each output are kept unless told otherwise"


def of(legacy: tf_keras.Model) -> set[str]:
    """Names of the first convolution, and of the last layers with a kernel before each output.

    Of a detector those are the codes and scores of every map: half of their weights gone, scores fell to a tenth,
    which mAP, a matter of order, does not show.

    Args:
        legacy: a bridged model.
    """
    convolutions = [layer.name for layer in legacy.layers if type(layer) is L.Conv2D]
    waiting = [tensor._keras_history.layer for tensor in tf.nest.flatten(legacy.output)]
    found, seen = set(convolutions[:1]), set()
    while waiting:
        layer = waiting.pop()
        if layer.name in seen:
            continue
        seen.add(layer.name)
        if _has_kernel(layer) or isinstance(layer, tf_keras.Model):
            found.add(layer.name)
        else:
            waiting += [before for node in layer.inbound_nodes for before in tf.nest.flatten(node.inbound_layers)]
    return found


def _has_kernel(layer: tf_keras.layers.Layer) -> bool:
    return any("kernel" in weight.name for weight in layer.weights)
