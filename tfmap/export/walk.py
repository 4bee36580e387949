"""A Keras graph run op by op, for what a call does not show: what stands between its layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import keras


def walk(model: keras.Model, inputs: Any, visit: Callable[[Any, tuple, dict], Any]) -> Any:
    """Run a functional model op by op, those within it too; a tensor is let go after its last use.

    Args:
        model: functional.
        inputs: of the model.
        visit: (operation, positional arguments, keyword arguments) -> what the operation gives. Of a functional model
            in the model it is not asked, but of what that one consists of.

    Returns:
        what the model gives.
    """
    tensors = dict(zip(map(id, model.inputs), keras.tree.flatten(inputs), strict=True))
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    nodes = [node for node in nodes if not node.is_input]
    uses = Counter(id(x) for node in nodes for x in node.input_tensors) + Counter(map(id, model.outputs))
    for node in nodes:
        args, kwargs = node.arguments.fill_in(tensors)
        inner = hasattr(node.operation, "_nodes_by_depth")
        outputs = walk(node.operation, args[0], visit) if inner else visit(node.operation, args, kwargs)
        tensors.update(zip(map(id, node.outputs), keras.tree.flatten(outputs), strict=True))
        for x in node.input_tensors:
            uses[id(x)] -= 1
            if not uses[id(x)]:
                tensors.pop(id(x), None)
    return keras.tree.pack_sequence_as(model._outputs_struct, [tensors[id(x)] for x in model.outputs])


def copied(model: keras.Model) -> keras.Model:
    """The same model anew, its weights copied; a Normalization computes with constants made of them.

    Args:
        model: functional.
    """
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    for layer in copy._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return copy
