"""Keras 3 layers as guests: they train, they keep their state, they survive tfmot."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from keras import layers

from tests.compress.parity import agree, answers, on, probe, shake
from tfmap.compress import bridge, qat
from tfmap.compress.finetune import FineTuning
from tfmap.compress.hosted import SCOPE, Held, Hosted, Slot
from tfmap.litert import LiteModel


def guests(x):
    x = layers.Conv2D(4, 3, strides=2, name="conv")(layers.Rescaling(1 / 127.5, offset=-1)(x))
    x = layers.LayerNormalization(name="norm")(layers.Reshape((49, 4))(x))
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    return layers.Dense(3, activation="softmax", name="top")(layers.RMSNormalization(name="rms")(x)[:, 0])


def test_their_weights_learn():
    model = shake(on(guests))
    twin, pictures = bridge.to_tf_keras(model), probe(model)
    before = twin.get_weights()
    assert len(twin.trainable_weights) == len(model.trainable_weights)
    twin.compile(tf_keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    history = twin.fit(pictures, np.array([0, 2]), epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert not any(np.array_equal(one, other) for one, other in zip(before, twin.get_weights(), strict=True))
    agree(answers(bridge.brought_home(twin, model), pictures), answers(twin, pictures))


def test_they_drop_in_training_and_never_twice_alike():
    twin = bridge.to_tf_keras(on(lambda x: layers.MultiHeadAttention(2, 3, dropout=0.5)(x, x), (6, 4)))
    given = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    one, other = (twin(given, training=True).numpy() for _ in range(2))
    assert np.abs(one - other).max() > 1e-3
    np.testing.assert_array_equal(twin(given), twin(given))


def test_their_statistics_follow_the_training():
    model = on(layers.BatchNormalization(renorm=True, momentum=0.5, name="norm"), (4,))
    twin = bridge.to_tf_keras(model)
    twin.compile("sgd", "mse")
    given = np.random.default_rng(0).normal(3, 2, size=(64, 4)).astype("float32")
    twin.fit(given, given, batch_size=32, epochs=10, verbose=0)
    home = bridge.brought_home(twin, model)
    np.testing.assert_allclose(home.get_layer("norm").moving_mean, given.mean(axis=0), atol=0.5)
    assert np.all(np.asarray(model.get_layer("norm").moving_mean) == 0)
    agree(answers(home, given), answers(twin, given))


def test_a_spectral_norm_is_renewed_in_training():
    model = on(layers.SpectralNormalization(layers.Dense(3, use_bias=False)), (4,))
    twin = bridge.to_tf_keras(model)
    for _ in range(20):
        twin(np.ones((2, 4), "float32"), training=True)
    kernel = next(weight for weight in bridge.brought_home(twin, model).weights if weight.name == "kernel")
    np.testing.assert_allclose(np.linalg.svd(np.asarray(kernel))[1][0], 1, rtol=0.01)


def test_they_go_through_quantisation_and_come_home():
    model = shake(on(guests))
    learned, _ = qat.quantized(bridge.to_tf_keras(model))
    pictures = probe(model)
    assert answers(learned, pictures)[0].shape == (2, 3)
    home = bridge.brought_home(learned, model)
    agree(answers(home, pictures), answers(model, pictures), tolerance=1e-6)


def test_a_copy_from_its_config_shares_the_guest_and_has_weights_of_its_own():
    dense = layers.Dense(3)
    dense.build((None, 4))
    made = Hosted(Held(dense), Held(((Slot(0),), {})), name="guest")
    again = Hosted.from_config(copy.deepcopy(made.get_config()))
    made(np.ones((1, 4), "float32"))
    again(np.ones((1, 4), "float32"))
    assert again.function.value is dense
    assert [tuple(weight.shape) for weight in again.weights] == [(4, 3), (3,)]
    assert again.weights[0] is not made.weights[0]
    assert SCOPE["Hosted"] is Hosted


def test_the_guest_itself_is_left_alone():
    model = shake(on(guests))
    before = model.get_weights()
    twin = bridge.to_tf_keras(model)
    twin.set_weights([weight * 2 for weight in twin.get_weights()])
    twin(probe(model), training=True)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(isinstance(weight, keras.Variable) for weight in model.weights)


class Pictures:
    """Two batches of random pictures."""

    steps = 2

    def train(self, epoch, step, epochs):
        rng = np.random.default_rng(0)
        picture = rng.integers(0, 256, (4, 16, 16, 3)).astype("uint8")
        batch = {"image": picture, "label": np.arange(4) % 3, "weight": np.ones(4, "float32")}
        return tf.data.Dataset.from_tensors(batch).repeat()

    def val(self):
        return None


@pytest.mark.slow
def test_they_learn_with_rounding_and_the_file_answers_as_the_training_did():
    model = on(guests)
    learned = qat.train(model, Pictures(), how=FineTuning(epochs=40, learning_rate=1e-2, verbose=False))
    batch = next(iter(Pictures().train(0, 0, 1)))
    pictures, labels = batch["image"].numpy(), batch["label"].numpy()
    rounded = learned.predict(pictures)
    assert np.abs(LiteModel(learned.to_tflite()).predict(pictures) - rounded).max() < 0.02
    # What was learnt came home with the weights, though these answer without the rounding that they learnt with.
    home = learned.model.predict(pictures, verbose=0)
    assert np.abs(home - rounded).max() < 0.1
    for said in (rounded, home):
        assert (said.argmax(1) == labels).all()
        assert said.max(1).min() > 0.75
