"""A tf_keras graph run layer by layer, for what `fit` does not show: means, ranges, the layer where numbers end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras


def walk(model: tf_keras.Model, images: tf.Tensor, visit: Callable[[Any, tuple, dict], Any]) -> None:
    """Run a functional model op by op; a tensor is let go after its last use.

    Args:
        model: of one input.
        images: float32 (B, H, W, C).
        visit: (layer, positional arguments, keyword arguments) -> the layer's outputs.
    """
    uses = model._tensor_usage_count
    tensors = {str(id(model.inputs[0])): [images] * uses[str(id(model.inputs[0]))]}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            args, kwargs = node.map_arguments(tensors)
            outputs = tf.nest.flatten(visit(node.layer, args, kwargs))
            tensors |= {key: [value] * uses[key] for key, value in zip(node.flat_output_ids, outputs, strict=True)}


def called(layer: tf_keras.layers.Layer, args: tuple, kwargs: dict, *, training: bool = False) -> Any:
    """What a layer gives; one that knows training from inference is told.

    Args:
        layer: of a graph.
        args: positional arguments.
        kwargs: keyword arguments of the graph, which come first.
        training: where the graph leaves it open.
    """
    told = {"training": training} if layer._expects_training_arg else {}
    return layer(*args, **{**told, **kwargs})


def bare(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
    """A layer without tfmot's wrapper around it."""
    return getattr(layer, "layer", layer)
