"""How a Keras 3 activation is spelled in tf_keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tf_keras

from tfmap.compress.bridge_refusals import cannot
from tfmap.compress.hosted import hosted

L = tf_keras.layers
# Activations that both packages define alike; name in Keras 3 -> name in tf_keras.
_ALIKE = {
    **{name: name for name in ("relu", "softmax", "sigmoid", "tanh", "gelu", "elu", "selu", "softplus")},
    **{name: name for name in ("softsign", "exponential", "mish")},
    "silu": "swish",
    "swish": "swish",
}
# Those that tfmot can quantise inside a layer; the others come behind it as a layer of their own.
_INSIDE = ("linear", "relu", "softmax", "sigmoid", "tanh")


def split(layer: keras.Layer, name: str) -> tuple[str, Callable[[Any], Any]]:
    """(the activation inside the twin, what comes after it): the second does the work where the packages differ.

    Args:
        layer: a Keras 3 layer with an `activation`.
        name: of its twin.
    """
    kind = _known(layer.activation)
    if kind in _INSIDE:
        return kind, activation("linear", name)
    return "linear", of(layer, f"{name}_{kind or 'activation'}")


def check(layer: keras.Layer) -> None:
    """Raise where Keras itself would not copy a layer with the activation that it has.

    Args:
        layer: a layer of Keras; its sublayers are not looked at.

    Raises:
        InputError: the activation is a function of the user's own, or has the name of another one.
    """
    for key in ("activation", "recurrent_activation"):
        function = getattr(layer, key, None)
        if callable(function) and not isinstance(function, keras.Layer) and not _known(function):
            own = getattr(function, "__name__", type(function).__name__)
            raise cannot(layer, f"its {key} {own!r} is a function of your own, or not what keras.activations calls so")


def of(layer: keras.Layer, name: str) -> Callable[[Any], Any]:
    """The activation of a layer that passed `check`, as tf_keras layers.

    Args:
        layer: a Keras 3 layer with an `activation`.
        name: for the new layers.

    Raises:
        InputError: the activation is a layer with weights.
    """
    function = layer.activation
    if not isinstance(function, keras.Layer):
        return activation(_known(function), name)
    if function.weights or not function.built:
        raise cannot(layer, f"its activation is the layer {function.name!r}, which has to stand behind it")
    return hosted(function, name)


def _known(function: Callable | None) -> str:
    """The name of a function in keras.activations; "" where it has another one by this name, or none.

    keras.ops.gelu is not keras.activations.gelu; tf.nn.relu is relu. Keras copies and saves all of them by name.
    """
    name = "linear" if function is None else getattr(function, "__name__", "")
    namesake = getattr(keras.activations, name, None)
    if function is None or namesake is function:
        return name
    of_a_library = getattr(function, "__module__", "").split(".")[0] in ("keras", "tensorflow")
    return name if namesake and of_a_library and _is_found_again(function, namesake) else ""


def _is_found_again(function: Callable, namesake: Callable) -> bool:
    """Whether a library's function, what Keras makes of it in a copy, and its namesake compute the same."""
    values = keras.ops.linspace(-9.0, 9.0, 64)
    try:
        again = keras.activations.get(keras.activations.serialize(function))
        one, *others = (np.asarray(each(values)) for each in (function, again, namesake))
    except (TypeError, ValueError):
        return False
    return all(np.allclose(one, other, atol=1e-6) for other in others)


def activation(kind: str, name: str) -> Callable[[Any], Any]:
    """A Keras 3 activation as tf_keras layers, made once, so that a shared Activation layer stays shared.

    tf_keras' hard_sigmoid is another function (0.2 x + 0.5) and it has no hard_silu, so both are spelled out.

    Args:
        kind: its name in keras.activations.
        name: for the new layers.
    """
    if kind == "linear":
        return lambda x: x
    if kind in _ALIKE:
        return L.Activation(_ALIKE[kind], name=name)
    if kind == "relu6":
        return L.ReLU(6.0, name=name)
    if kind == "leaky_relu":
        return L.LeakyReLU(0.2, name=name)
    if kind == "hard_sigmoid":
        return _hard_sigmoid(name)
    if kind in ("hard_silu", "hard_swish"):
        gate, product = _hard_sigmoid(f"{name}_gate"), L.Multiply(name=name)
        return lambda x: product([x, gate(x)])
    return hosted(keras.activations.get(kind), name)


def _hard_sigmoid(name: str) -> Callable[[Any], Any]:
    add, clip = L.Rescaling(1.0, offset=3.0, name=f"{name}_add"), L.ReLU(6.0, name=f"{name}_relu6")
    divide = L.Rescaling(1 / 6, name=name)
    return lambda x: divide(clip(add(x)))
