"""Layers of Keras 3 that tfmot does not know, rounded between their ops."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.compress.parity import on, shake
from tests.compress.test_qat import Pictures, agrees, lively
from tfmap.compress import bridge, guests, qat
from tfmap.compress.fake_quantizers import CalibratedRange
from tfmap.compress.finetune import FineTuning


def attended(make):
    """A block of a transformer, its queries and what they ask apart."""
    return lambda x: layers.Add()([x, make(layers.Dense(8)(x), layers.Dense(8)(x))])


GUESTS = {
    "layer norm": layers.LayerNormalization(),
    "layer norm of a picture": layers.LayerNormalization(axis=(1, 2), center=False),
    "layer norm without weights": layers.LayerNormalization(center=False, scale=False),
    "group norm": layers.GroupNormalization(2),
    "RMS norm": layers.RMSNormalization(),
    "einsum": layers.EinsumDense("abc,cd->abd", (6, 5)),
    "attention": attended(layers.MultiHeadAttention(2, 4)),
    "grouped attention": attended(layers.GroupQueryAttention(4, 4, 2)),
}


def alone(name):
    """(the network with this guest, bridged; the guest taken apart, built, with its weights)."""
    legacy = bridge.to_tf_keras(shake(on(GUESTS[name], (6, 8))))
    ((found, (guest, weights)),) = guests.taken_apart(legacy).items()
    whole = legacy.get_layer(found)
    shapes = whole.input_shape
    guest.build(shapes if isinstance(shapes, list) else tf.TensorShape(shapes))
    guest.set_weights(weights)
    return whole, guest


def told(whole, seed=0):
    """Numbers for what a layer reads, the same for a first and a second input."""
    x = tf.constant(np.random.default_rng(seed).normal(0, 2, (2, 6, 8)), tf.float32)
    return [x, x[:, ::-1]] if isinstance(whole.input_shape, list) else x


@pytest.mark.parametrize("name", GUESTS)
def test_op_by_op_it_answers_as_a_whole(name):
    whole, guest = alone(name)
    np.testing.assert_allclose(guest(told(whole)), whole(told(whole)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", GUESTS)
def test_integers_have_its_ops(name):
    _, guest = alone(name)
    assert not {op.type for op in guest.graph.value.get_operations()} & {"Neg", "Square", "SquaredDifference"}


@pytest.mark.parametrize("name", sorted(set(GUESTS) - {"einsum"}))
def test_rounded_it_answers_almost_as_before(name):
    whole, guest = alone(name)
    guest.ranges = CalibratedRange()
    guest.ranges.listen(1.0)
    guest(told(whole), training=True)
    guest.ranges.listen(0.0)
    rounded, exact = np.asarray(guest(told(whole))), np.asarray(whole(told(whole)))
    assert 1e-4 < np.abs(rounded - exact).max() < 0.1 * np.ptp(exact)


def test_what_is_one_op_has_no_range_of_its_own():
    """The wrapper of tfmot rounds what it gives."""
    assert list(alone("einsum")[1].ends.value) == []


def test_a_softmax_has_the_range_that_every_file_gives_it():
    _, guest = alone("attention")
    ranges = [ends for op, ends in guest.ends.value.items() if "oftmax" in op]
    assert [(float(ends["min_var"]), float(ends["max_var"])) for ends in ranges] == [(0.0, 255 / 256)]


def test_an_even_picture_has_a_gradient():
    """Its variance is rounded to zero, of which the root would be no number."""
    whole, guest = alone("layer norm")
    guest.ranges = CalibratedRange()
    guest.ranges.listen(1.0)
    guest(told(whole), training=True)
    guest.ranges.listen(0.0)
    x = tf.zeros((2, 6, 8)) + 0.5
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(guest(x, training=True) ** 2)
    assert np.isfinite(tape.gradient(loss, x)).all()


@keras.saving.register_keras_serializable("tests")
class Blend(layers.Layer):
    """A user's layer of several ops."""

    def call(self, inputs):
        return inputs[0] * 0.7 + inputs[1] * 0.3 - 0.1


@keras.saving.register_keras_serializable("tests")
class Whole(Blend):
    """One with a loop in it."""

    def call(self, inputs):
        steps = lambda i, x: (i + 1, x * 0.5 + inputs[1])  # noqa: E731
        return keras.ops.while_loop(lambda i, x: i < 3, steps, (0, inputs[0]))[1]


@pytest.mark.parametrize(("kind", "ops"), [(Blend, ["Mul", "Mul", "AddV2"]), (Whole, [])])
def test_a_users_layer_is_taken_apart_unless_it_has_a_loop(kind, ops, monkeypatch):
    monkeypatch.setattr("tfmap.compress.bridge_registry._registered", {})
    bridge.register(kind)
    legacy = bridge.to_tf_keras(on(lambda x: kind(name="own")([layers.Dense(8)(x), x]), (6, 8)))
    ((guest, _),) = guests.taken_apart(legacy).values()
    whole = legacy.get_layer("own")
    guest.build(whole.input_shape)
    types = {op.name: op.type for op in guest.graph.value.get_operations()}
    assert [types[name] for name in guest.ends.value] == ops
    x = tf.constant(np.random.default_rng(0).normal(0, 1, (2, 6, 8)), tf.float32)
    np.testing.assert_allclose(guest([x, -x]), whole([x, -x]), rtol=1e-5)


def test_one_that_is_called_twice_stays_whole():
    norm = layers.LayerNormalization()
    legacy = bridge.to_tf_keras(on(lambda x: norm(layers.Dense(8)(norm(x))), (8,)))
    assert guests.taken_apart(legacy) == {}


def test_so_does_one_that_reads_a_mask():
    x, mask = keras.Input((6, 8)), keras.Input((6, 6), dtype="bool")
    model = keras.Model([x, mask], layers.MultiHeadAttention(2, 4)(x, x, attention_mask=mask))
    assert guests.taken_apart(bridge.to_tf_keras(model)) == {}


NETWORKS = {
    "norms": lambda x: layers.GroupNormalization(2)(
        layers.Conv2D(8, 3, activation="relu")(layers.LayerNormalization()(x))
    ),
    "attention": lambda x: layers.Reshape((2, 8, 8))(
        layers.MultiHeadAttention(2, 4)(*[layers.LayerNormalization()(layers.Reshape((16, 8))(x))] * 2)
    ),
}


@pytest.mark.parametrize("name", [pytest.param("norms", marks=pytest.mark.slow), "attention"])
def test_the_file_computes_in_integers_and_agrees(name):
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 4, strides=4)(layers.Rescaling(1 / 127.5, offset=-1)(image))
    ops = agrees(keras.Model(image, layers.Dense(4, "softmax")(layers.Flatten()(NETWORKS[name](x)))), 16)
    assert ops["RSQRT"] == (2 if name == "norms" else 1)


def test_its_weights_learn_and_come_home():
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 4, strides=4)(layers.Rescaling(1 / 127.5, offset=-1)(image))
    x = layers.LayerNormalization(name="norm")(x)
    model = keras.Model(image, layers.Dense(4, "softmax")(layers.GlobalAveragePooling2D()(x)))
    before = [np.copy(weight) for weight in lively(model, Pictures(16).images).get_layer("norm").get_weights()]
    home = qat.train(model, Pictures(16), how=FineTuning(epochs=1, learning_rate=1e-3, verbose=False)).model
    moved = [np.abs(new - old).max() for new, old in zip(home.get_layer("norm").get_weights(), before, strict=True)]
    assert len(moved) == 2
    assert 1e-5 < min(moved) <= max(moved) < 1e-2
