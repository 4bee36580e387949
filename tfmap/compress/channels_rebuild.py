"""A model -> the same model in one level -> one with fewer channels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import tree

from tfmap.compress.channels_groups import Groups
from tfmap.compress.channels_notes import Axis
from tfmap.errors import InputError


def flattened(model: keras.Model) -> keras.Model:
    """A copy whose layers all stand in the model itself, its weights copied; the model is left as it is.

    Args:
        model: a built functional or Sequential model.

    Returns:
        keras.Model: functional. A layer of a nested model keeps its name, unless that is taken: then it is <name>__2.

    Raises:
        InputError: it is, or contains, a model whose graph cannot be read, or a layer that cannot be copied.
    """
    walk, graph = _Walk(), _graph(model)
    inputs = [
        keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=walk.unique(tensor.name))
        for tensor in graph.inputs
    ]
    outputs = walk.run(model, inputs, training=None)
    flat = keras.Model(tree.pack_sequence_as(graph._inputs_struct, inputs), outputs, name=model.name)
    for layer, copy in walk.pairs:
        copy.set_weights(layer.get_weights())
        if hasattr(copy, "finalize_state"):  # a Normalization computes with what it derived from its weights
            copy.finalize_state()
    return flat


def shrunk(flat: keras.Model, groups: Groups, kept: np.ndarray) -> keras.Model:
    """The model without the groups that go: smaller layers of the same names, the weights of what stays.

    Args:
        flat: what `flattened` returns.
        groups: its groups.
        kept: bool (G,).

    Returns:
        keras.Model: its outputs are those of `flat`, had its kernels zeros wherever they read a removed channel.
    """
    sizes: dict[str, dict[str, int]] = defaultdict(dict)
    for (layer, key), channels in groups.sizes.items():
        sizes[layer][key] = int(np.count_nonzero(kept[channels]))

    def smaller(operation: Any) -> Any:
        config = {}
        for key, number in sizes.get(operation.name, {}).items():
            config[key] = (*operation.target_shape[:-1], number) if key == "target_shape" else number
        return _made_anew(operation, **config)

    small = keras.models.clone_model(flat, clone_function=smaller)
    axes = defaultdict(list)
    for axis in groups.axes:
        axes[axis.layer, axis.weight].append(axis)
    for layer in flat.layers:
        _copy(layer, small.get_layer(layer.name), axes, kept)
    return small


def _copy(layer: keras.Layer, smaller: keras.Layer, axes: dict[tuple[str, str], list[Axis]], kept: np.ndarray) -> None:
    values = []
    for weight in layer.weights:
        value = np.asarray(weight)
        for axis in axes.get((layer.name, weight.name), ()):
            value = np.compress(kept[axis.channels], value, axis.axis)
        values.append(value)
    smaller.set_weights(values)
    if hasattr(smaller, "finalize_state"):
        smaller.finalize_state()


def _made_anew(operation: Any, **changes: Any) -> Any:
    try:
        return type(operation).from_config({**operation.get_config(), **changes})
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(
            f"compress: layer {operation.name!r} ({type(operation).__name__}) cannot be copied. Give it a "
            f"get_config that its constructor takes. Keras says: {str(error).splitlines()[0]}"
        ) from error


class _Walk:
    """Calls a copy of every operation; one that is called twice is copied once."""

    def __init__(self) -> None:
        self.pairs: list[tuple[keras.Layer, keras.Layer]] = []
        self._copies: dict[int, Any] = {}
        self._names: Counter[str] = Counter()

    def unique(self, name: str) -> str:
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}__{self._names[name]}"

    def run(self, model: keras.Model, inputs: list, *, training: bool | None) -> Any:
        """Send symbolic tensors through a graph; `training=False` reaches the layers of a nested model."""

        def visit(operation: Any) -> Callable[..., Any]:
            return lambda *args, **kwargs: self._visit(operation, args, kwargs, training)

        return _graph(model)._run_through_graph(inputs, operation_fn=visit)

    def _visit(self, operation: Any, args: tuple, kwargs: dict, training: bool | None) -> Any:
        if isinstance(operation, keras.Model):
            own = kwargs.get("training")
            return self.run(operation, tree.flatten(args), training=training if own is None else own)
        if training is not None and getattr(operation, "_call_has_training_arg", False):
            kwargs = {"training": training, **kwargs}
        return self._copy(operation)(*args, **kwargs)

    def _copy(self, operation: Any) -> Any:
        if id(operation) not in self._copies:
            self._copies[id(operation)] = _made_anew(operation, name=self.unique(operation.name))
            if isinstance(operation, keras.Layer):
                self.pairs.append((operation, self._copies[id(operation)]))
        return self._copies[id(operation)]


def _graph(model: keras.Model) -> Any:
    """The graph of a functional or Sequential model."""
    graph = getattr(model, "_functional", model)
    if graph is None or not hasattr(graph, "_run_through_graph"):
        raise InputError(
            f"compress: channels and low_rank need the graph of model {model.name!r} ({type(model).__name__}), and "
            "there is none. Expected a functional model, or a Sequential one that starts with keras.Input(shape)."
        )
    return graph
