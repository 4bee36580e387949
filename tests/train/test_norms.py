"""The kernel computes what Keras' own batch normalisation does, and nothing of it stays behind."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as L

from tfmap.train import norms


def _model(**options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 5, 3))
    x = L.Conv2D(4, 3, padding="same")(inputs)
    x = L.BatchNormalization(name="norm", **options)(x)
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(L.ReLU()(x))))
    norm, rng = model.get_layer("norm"), np.random.default_rng(0)
    norm.set_weights([rng.uniform(0.5, 2, w.shape) for w in norm.get_weights()])
    return model


def _step(model, images, *, training=True):
    """Outputs, gradients and the statistics that a step leaves."""

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            outputs = model(images, training=training)
            loss = tf.reduce_mean(tf.square(outputs))
        return outputs, tape.gradient(loss, model.trainable_variables)

    outputs, gradients = step(tf.constant(images))
    return [np.asarray(x) for x in (outputs, *gradients, *model.get_layer("norm").non_trainable_variables)]


def _pair(images, **options):
    plain = _step(_model(**options), images)
    model = _model(**options)
    with norms.fused(model):
        assert "call" in vars(model.get_layer("norm"))
        return plain, _step(model, images)


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}, {"momentum": 0.9, "epsilon": 1e-2}])
def test_outputs_gradients_and_statistics_are_those_of_keras(options):
    images = np.random.default_rng(1).normal(3, 5, (4, 6, 5, 3)).astype("float32")
    plain, fused = _pair(images, **options)
    for theirs, ours in zip(plain, fused, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(1, 3), st.floats(0.01, 100), st.integers(0, 99))
def test_whatever_the_size_of_a_batch_and_of_its_values(count, side, scale, seed):
    layer = L.BatchNormalization(momentum=0.0)
    layer.build((None, side, side, 2))
    x = tf.constant(np.random.default_rng(seed).normal(scale, scale, (count, side, side, 2)), tf.float32)
    outputs, mean, variance = norms._normalised(layer, x)
    theirs = layer(x, training=True)
    np.testing.assert_allclose(mean, layer.moving_mean, rtol=1e-4, atol=1e-5 * scale)
    np.testing.assert_allclose(variance, layer.moving_variance, rtol=1e-3, atol=1e-5 * scale**2)
    np.testing.assert_allclose(outputs, theirs, rtol=1e-2, atol=1e-2)


def test_inference_and_frozen_norms_are_untouched():
    images = np.random.default_rng(1).normal(size=(4, 6, 5, 3)).astype("float32")
    for training, trainable in ((False, True), (True, False)):
        found = []
        for kernel in (False, True):
            model = _model()
            model.get_layer("norm").trainable = trainable
            with norms.fused(model) if kernel else tf.name_scope("plain"):
                found.append(_step(model, images, training=training))
        for theirs, ours in zip(*found, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_half_precision_is_computed_in_single():
    images = np.random.default_rng(1).normal(size=(4, 6, 5, 4)).astype("float16")
    layer = L.BatchNormalization(dtype="mixed_float16")
    model = keras.Sequential([keras.Input((6, 5, 4), dtype="float16"), layer])
    plain = model(images, training=True)
    with norms.fused(model):
        fused = model(images, training=True)
    assert fused.dtype == tf.float16
    np.testing.assert_allclose(fused, plain, rtol=2e-3, atol=2e-3)


def test_a_models_layers_are_its_own_again_even_after_an_error():
    model = _model()
    with pytest.raises(RuntimeError), norms.fused(model):
        raise RuntimeError
    assert "call" not in vars(model.get_layer("norm"))
    assert model.get_layer("norm").call.__func__ is L.BatchNormalization.call


@pytest.mark.parametrize("options", [{"epsilon": 1e-6}, {"axis": 1}, {"synchronized": True}])
def test_what_the_kernel_cannot_do_stays_with_keras(options):
    model = _model(**options)
    with norms.fused(model):
        assert "call" not in vars(model.get_layer("norm"))


def test_a_training_uses_it(trash_split, trash_classes):
    """The graph of the step holds the kernel."""
    import tfmap
    from tfmap.source import Source

    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append("call" in vars(self.model.net.get_layer("norm")))

    inputs = keras.Input((48, 48, 3))
    x = L.BatchNormalization(name="norm")(L.Conv2D(4, 3)(L.Rescaling(1 / 255, name="normalisation")(inputs)))
    model = keras.Model(inputs, L.Dense(6, activation="softmax")(L.GlobalAveragePooling2D()(x)))
    source = Source("photos", tuple(trash_classes), {"train": trash_split, "val": trash_split})
    tfmap.fit(model, source, epochs=1, callbacks=[Look()], verbose=False)
    assert seen
    assert all(seen)
    assert "call" not in vars(model.get_layer("norm"))
