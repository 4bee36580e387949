"""Every activation of Keras 3, as a layer, as a string inside a layer, and as somebody else's function."""

import functools
import inspect

import keras
import pytest
import tensorflow as tf
from keras import layers, ops

from tests.compress.parity import on, parity
from tfmap.compress import bridge
from tfmap.errors import InputError


def takes_one_tensor(function):
    """`threshold` wants two numbers more: it is no activation by itself."""
    needed = [p for p in inspect.signature(function).parameters.values() if p.default is inspect.Parameter.empty]
    return len(needed) == 1


NAMES = sorted(
    name
    for name, function in vars(keras.activations).items()
    if inspect.isfunction(function) and name not in ("get", "serialize", "deserialize") and takes_one_tensor(function)
)


def test_all_of_them_are_here():
    assert len(NAMES) == 31
    assert {"hard_swish", "swish", "sparsemax", "squareplus", "glu", "log_softmax"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_as_a_layer(name):
    parity(on(lambda x: layers.Activation(name)(x / 32 - 4), (6, 6, 4)))


@pytest.mark.parametrize("name", NAMES)
def test_inside_a_layer(name):
    parity(on(lambda x: layers.Dense(4, activation=name)(x), (6,)))


@pytest.mark.parametrize(
    "kind", [layers.Conv2D, layers.SeparableConv2D, layers.Conv2DTranspose, layers.DepthwiseConv2D]
)
@pytest.mark.parametrize("name", ["relu", "relu6", "hard_sigmoid", "hard_swish", "gelu", "leaky_relu", "celu"])
def test_inside_a_convolution(kind, name):
    size = {} if kind is layers.DepthwiseConv2D else {"filters": 4}
    parity(on(lambda x: kind(kernel_size=3, activation=name, **size)(x / 99)))


OTHERS = {
    "keras.ops, by another signature": ops.leaky_relu,
    "keras.ops": ops.sigmoid,
    "keras.activations": keras.activations.gelu,
    "tensorflow": tf.nn.relu6,
    "a layer": layers.LeakyReLU(0.7),
}


@pytest.mark.parametrize("whose", OTHERS)
def test_functions_of_libraries_are_what_they_are_not_what_they_are_called(whose):
    parity(on(lambda x: layers.Dense(4, activation=OTHERS[whose])(x), (6,)))
    parity(on(lambda x: layers.Activation(OTHERS[whose])(x), (6,)))


def test_the_two_gelus_differ():
    outputs = [float(function(ops.convert_to_tensor([1.0]))[0]) for function in (ops.gelu, keras.activations.gelu)]
    assert abs(outputs[0] - outputs[1]) > 1e-4


def relu(x):
    """The user's own, by a famous name."""
    return x * 2


BY_NAME = {
    "relu": relu,
    "gelu": ops.gelu,  # the approximate one
    "swish": tf.nn.swish,
    "partial": functools.partial(ops.gelu, approximate=True),
    "<lambda>": lambda x: x,
    "prelu": layers.PReLU(name="prelu"),
}


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("kind", [layers.Activation, lambda activation, name: layers.Dense(3, activation, name=name)])
def test_what_keras_would_not_find_again_by_its_name_is_refused(name, kind):
    with pytest.raises(InputError, match=f"'odd'.*its activation .*'{name}'.*bridge.register"):
        bridge.to_tf_keras(on(lambda x: kind(BY_NAME[name], name="odd")(x), (6,)))


GUESTS = {
    "inside a guest": lambda x: layers.LSTM(3, activation=ops.gelu, name="odd")(x),
    "at its gates": lambda x: layers.LSTM(3, recurrent_activation=ops.gelu, name="odd")(x),
    "inside a wrapper": lambda x: layers.TimeDistributed(layers.Dense(3, ops.gelu, name="odd"))(x),
}


@pytest.mark.parametrize("where", GUESTS)
def test_a_guest_is_refused_too_as_its_copy_would_have_another(where):
    with pytest.raises(InputError, match="'odd'.*its (recurrent_)?activation 'gelu'"):
        bridge.to_tf_keras(on(GUESTS[where], (4, 6)))


def test_a_registered_layer_too(monkeypatch):
    monkeypatch.setattr("tfmap.compress.bridge_registry._registered", {})
    bridge.register(layers.EinsumDense)
    with pytest.raises(InputError, match="'odd'.*its activation 'gelu'"):
        bridge.to_tf_keras(on(layers.EinsumDense("ab,bc->ac", 3, ops.gelu, name="odd"), (4,)))
