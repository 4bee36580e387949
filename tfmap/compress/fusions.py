"""Which layers have no range of their own, because a file makes one op of them and of others."""

from __future__ import annotations

import tf_keras

L = tf_keras.layers
# What the file fuses a ReLU into, or folds a norm into -> its kernel.
KERNELS = {L.Conv2D: "kernel", L.DepthwiseConv2D: "depthwise_kernel"}
_FUSED_RELUS = (None, 6)  # highest values that a fused op knows


def silent(legacy: tf_keras.Model) -> set[str]:
    """Names of layers without a range of their own.

    Shared ones that the file fuses with what reads them; tfmot sees to those that are used once. A range would keep the
    two ops apart, and spend half its steps on what a ReLU cuts off. And what is reshaped to be concatenated, as
    detectors do: it has the range of the whole, of which another would be a second rounding, and an op.

    Args:
        legacy: a bridged model, its norms behind their carriers.
    """
    inner = [layer for layer in legacy.layers if layer.name not in legacy.output_names]
    fused = {layer.name for layer in inner if len(layer.inbound_nodes) > 1 and _is_fused(layer)}
    reshaped = [layer for layer in inner if type(layer) is L.Reshape and _all_readers(layer, L.Concatenate)]
    made = [layer for layer in inner if type(layer) in KERNELS and is_linear(layer) and _is_reshaped(layer, reshaped)]
    return fused | {layer.name for layer in (*reshaped, *made)}


def _all_readers(layer: tf_keras.layers.Layer, kind: type) -> bool:
    """Whether a layer that is used once is read by such a layer alone."""
    readers = [node.outbound_layer for node in layer.outbound_nodes]
    return len(layer.inbound_nodes) == 1 == len(readers) and type(readers[0]) is kind


def _is_reshaped(layer: tf_keras.layers.Layer, reshaped: list) -> bool:
    return _all_readers(layer, L.Reshape) and layer.outbound_nodes[0].outbound_layer in reshaped


def is_carrier(layer: tf_keras.layers.Layer) -> bool:
    """Whether it is a depthwise convolution of ones that the bridge puts in front of a norm."""
    return type(layer) is L.DepthwiseConv2D and not layer.trainable


def is_linear(layer: tf_keras.layers.Layer) -> bool:
    """Whether it has no activation."""
    return getattr(layer, "activation", tf_keras.activations.linear) is tf_keras.activations.linear


def _is_fused(layer: tf_keras.layers.Layer) -> bool:
    """Whether all that reads it becomes one op with it: the norm of a carrier, the ReLU of a norm or a kernel."""
    if is_carrier(layer):
        return True
    before = [node.inbound_layers for node in layer.inbound_nodes]
    carried = type(layer) is L.BatchNormalization and all(map(is_carrier, before))
    if not carried and not (type(layer) in KERNELS and is_linear(layer)):
        return False
    readers = [node.outbound_layer for node in layer.outbound_nodes]
    return bool(readers) and all(map(_is_relu, readers))


def _is_relu(layer: tf_keras.layers.Layer) -> bool:
    """Whether a file fuses it into what it reads."""
    if type(layer) is L.ReLU:
        return layer.max_value in _FUSED_RELUS and not layer.negative_slope and not layer.threshold
    return type(layer) is L.Activation and layer.activation is tf_keras.activations.relu
