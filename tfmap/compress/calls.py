"""Every call of a layer without weights as a layer of its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import tf_keras

from tfmap.compress.hosted import SCOPE


def apart(legacy: tf_keras.Model) -> tf_keras.Model:
    """A bridged model in which every call of a layer without weights is a layer, with a range of its own.

    A ReLU for a whole network would have one range for it, and tfmot fuses nothing that is called twice.

    Args:
        legacy: a bridged model; where no such layer is called twice it is what comes back.
    """
    shared = {layer.name for layer in legacy.layers if len(layer.inbound_nodes) > 1 and not layer.weights}
    if not shared:
        return legacy
    legacy.use_legacy_config = True  # as tfmot reads it
    config = legacy.get_config()
    config["layers"] = [call for layer in config["layers"] for call in _calls(layer, shared)]
    config["output_layers"] = _renamed(config["output_layers"], shared)
    with tf_keras.utils.custom_object_scope(SCOPE):
        result = tf_keras.Model.from_config(config)
    for layer in result.layers:
        if layer.weights:
            layer.set_weights(legacy.get_layer(layer.name).get_weights())
    return result


def _calls(layer: dict, shared: Collection[str]) -> list[dict]:
    """The config of a layer; of a shared one that of each call: the first keeps the name."""
    nodes = _renamed(layer["inbound_nodes"], shared)
    if layer["name"] not in shared:
        return [{**layer, "inbound_nodes": nodes}]
    names = [_call_name(layer["name"], number) for number in range(len(nodes))]
    return [
        {**layer, "name": name, "config": {**layer["config"], "name": name}, "inbound_nodes": [node]}
        for name, node in zip(names, nodes, strict=True)
    ]


def _renamed(nodes: Any, shared: Collection[str]) -> Any:
    """References in a config, [name, number of the call, number of the tensor ...], to the layers of `_calls`."""
    if isinstance(nodes, dict):
        return {key: _renamed(value, shared) for key, value in nodes.items()}
    if not isinstance(nodes, list | tuple):
        return nodes
    values = [_renamed(value, shared) for value in nodes]
    if len(values) > 2 and isinstance(values[0], str) and values[0] in shared:
        values[:2] = [_call_name(values[0], values[1]), 0]
    return type(nodes)(values)


def _call_name(name: str, number: int) -> str:
    return f"{name}__call_{number}" if number else name
