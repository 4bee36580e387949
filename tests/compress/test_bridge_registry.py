"""Custom layers: taught with a Keras 2 layer of their own, or run as they are."""

import keras
import pytest
import tf_keras
from keras import layers

from tests.compress.parity import on, parity
from tfmap.compress import bridge
from tfmap.errors import InputError


class Swap(layers.Layer):
    """No weights."""

    def call(self, x):
        return x[..., ::-1]


class Shift(layers.Layer):
    """A weight that learns, after one that does not."""

    def build(self, shape):
        self.frozen = self.add_weight(name="frozen", shape=(shape[-1],), initializer="ones", trainable=False)
        self.by = self.add_weight(name="by", shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.frozen + self.by


class LegacyShift(tf_keras.layers.Layer):
    """Its twin."""

    def build(self, shape):
        self.by = self.add_weight(name="by", shape=(shape[-1],))
        self.frozen = self.add_weight(name="frozen", shape=(shape[-1],), trainable=False)

    def call(self, x):
        return x * self.frozen + self.by


class Twice(layers.Layer):
    """Made of layers, whose weights have the same names."""

    def __init__(self, **options):
        super().__init__(**options)
        self.first, self.norm, self.second = layers.Dense(3), layers.BatchNormalization(), layers.Dense(3)

    def build(self, shape):
        for part in (self.first, self.norm, self.second):
            part.build((*shape[:-1], 3))

    def compute_output_shape(self, shape):
        return (*shape[:-1], 3)

    def call(self, x, training=False):
        return self.second(self.norm(self.first(x), training=training))


class LegacyTwice(tf_keras.layers.Layer):
    """Its twin."""

    def __init__(self, **options):
        super().__init__(**options)
        self.first, self.norm = tf_keras.layers.Dense(3), tf_keras.layers.BatchNormalization()
        self.second = tf_keras.layers.Dense(3)

    def call(self, x, training=False):
        return self.second(self.norm(self.first(x), training=training))


class Net(keras.Model):
    """Its graph is Python code."""

    def __init__(self, **options):
        super().__init__(**options)
        self.conv = layers.Conv2D(4, 3)

    def build(self, shape):
        self.conv.build(shape)

    def call(self, x):
        return self.conv(x)


@pytest.fixture
def register(monkeypatch):
    """bridge.register, forgotten after the test."""
    monkeypatch.setattr("tfmap.compress.bridge_registry._registered", {})
    return bridge.register


@pytest.mark.parametrize(
    ("kind", "build"),
    [(Swap, lambda layer: tf_keras.layers.Lambda(lambda x: x[..., ::-1])), (Shift, lambda layer: LegacyShift()),
     (Twice, lambda layer: LegacyTwice())],
)  # fmt: skip
def test_a_layer_with_a_twin_of_its_own(register, kind, build):
    register(kind, build)
    twin = parity(on(lambda x: kind(name="mine")(layers.Dense(3)(x))))
    assert type(twin.get_layer("mine")) is type(build(None))


@pytest.mark.parametrize("kind", [Swap, Shift, Twice])
def test_a_layer_that_runs_as_it_is(register, kind):
    register(kind)
    assert type(parity(on(lambda x: kind(name="mine")(layers.Dense(3)(x)))).get_layer("mine")).__name__ == "Hosted"


def test_inside_a_wrapper(register):
    register(Twice)
    parity(on(lambda x: layers.TimeDistributed(Twice())(x), (4, 3)))


def test_a_subclassed_model_inside(register):
    register(Net)
    parity(on(lambda x: Net(name="net")(x)))


WRONG = {
    r"layer 'mine' has weights of the shapes \[\(3,\), \(3,\)\] in Keras 3 and \[\]": lambda layer: (
        tf_keras.layers.Activation("relu")
    ),
    r"layer 'mine'.*bridge.register\(Shift, build\) made answers otherwise: up to": lambda layer: (
        tf_keras.layers.BatchNormalization(moving_mean_initializer="ones", center=False, scale=False)
    ),
    r"bridge.register\(Shift, build\) made a Dense; expected a tf_keras.layers.Layer": lambda layer: layers.Dense(3),
}


@pytest.mark.parametrize("why", WRONG)
def test_a_twin_that_is_none_is_refused(register, why):
    register(Shift, WRONG[why])
    with pytest.raises(InputError, match=why):
        bridge.to_tf_keras(on(lambda x: Shift(name="mine")(x)))


class Wide(layers.Layer):
    """Its arguments are not in its config."""

    def __init__(self, *widths, **options):
        super().__init__(**options)
        self.widths = widths

    def build(self, shape):
        self.by = self.add_weight(name="by", shape=(sum(self.widths),), initializer="ones")

    def call(self, x):
        return x + self.by


def test_a_layer_that_cannot_be_copied_is_refused_before_any_training(register):
    register(Wide)
    with pytest.raises(
        InputError, match=r"'mine' \(Wide\) cannot be copied from its config \(.*Error\). Give the class"
    ):
        bridge.to_tf_keras(on(lambda x: Wide(1, 2, name="mine")(x)))
