"""Bias correction: the mean of every channel is that of the unrounded model, and nothing else changes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import layers

from tfmap.export import convert, correction
from tfmap.litert import LiteModel


@pytest.fixture(scope="module")
def fragile(photos):
    """A model whose depthwise kernels nearly cancel out, as edge detectors do, and are blown up behind."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((48, 48, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1, name="normalisation")(inputs)
    x = layers.ReLU(6.0)(
        layers.BatchNormalization(name="settle")(layers.Conv2D(8, 3, padding="same", use_bias=False)(x))
    )
    x = layers.DepthwiseConv2D(3, use_bias=False, name="edges")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="blow_up")(x))
    x = layers.Conv2D(8, 1, activation="relu", name="with_bias")(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 8, 1)).astype("float32")
    model.get_layer("edges").set_weights([kernel - kernel.mean(axis=(0, 1))])
    before = keras.Model(inputs, model.get_layer("edges").output).predict(photos[0].astype("float32"), verbose=0)
    ones = np.ones(8, "float32")
    statistics = [before.mean(axis=(0, 1, 2)), before.var(axis=(0, 1, 2)) / 100]
    model.get_layer("blow_up").set_weights([ones, 3 * ones, *statistics])
    return model


def _file_means(model, name, photos):
    """Mean of every channel of a layer as the int8 file computes it."""
    outputs = keras.Model(model.inputs, model.get_layer(name).output)
    return LiteModel(convert.int8(outputs, photos[0])).predict(photos[0]).mean(axis=(0, 1, 2), dtype="float64")


def _keras_means(model, name, photos):
    outputs = keras.Model(model.inputs, model.get_layer(name).output)
    return outputs.predict(photos[0].astype("float32"), verbose=0).mean(axis=(0, 1, 2), dtype="float64")


@pytest.mark.parametrize(("name", "times"), [("settle", 20), ("with_bias", 5)])
def test_the_means_in_the_file_are_those_of_keras(fragile, photos, name, times):
    expected = _keras_means(fragile, name, photos)
    plain = np.abs(_file_means(fragile, name, photos) - expected).max()
    found = np.abs(_file_means(correction.corrected(fragile, photos[0]), name, photos) - expected).max()
    assert found < plain / times


def test_what_rounding_stored_tensors_does_is_taken_back_too(photos):
    """Kernels on the grid already, so that only the tensors are rounded: a narrow channel beside a wide one."""
    inputs = keras.Input((48, 48, 3))
    x = layers.Conv2D(2, 1, name="stored")(inputs)
    model = keras.Model(inputs, layers.DepthwiseConv2D(1, use_bias=True, name="blow_up")(x))
    model.get_layer("stored").set_weights([np.array([[[[1, 0.001], [0, 0], [0, 0]]]], "float32"), np.array([0, 0.3])])
    model.get_layer("blow_up").set_weights([np.array([[[[1], [100]]]], "float32"), np.zeros(2)])
    error = [
        np.abs(_file_means(m, "blow_up", photos) - _keras_means(model, "blow_up", photos))[1]
        for m in (model, correction.corrected(model, photos[0]))
    ]
    assert error[1] < error[0] / 20


def test_an_adapted_normalisation_stays_adapted(photos):
    images = photos[0].astype("float32")
    norm = layers.Normalization(name="adapted")
    norm.adapt(images)
    inputs = keras.Input((48, 48, 3))
    model = keras.Model(inputs, layers.Conv2D(4, 3, name="behind")(norm(inputs)))
    copy = correction.corrected(model, photos[0])
    expected, found = (m.predict(images, verbose=0) for m in (model, copy))
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    means = _file_means(copy, "behind", photos) - _keras_means(model, "behind", photos)
    assert np.abs(means).max() < 0.02 * np.abs(expected).max()


def _copy(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def test_only_biases_and_moving_means_change(fragile, photos):
    copy = correction.corrected(fragile, photos[0])
    changed = {a.path for a, b in zip(copy.weights, fragile.weights, strict=True) if (a.numpy() != b.numpy()).any()}
    assert {path.split("/")[-1] for path in changed} == {"bias", "moving_mean"}
    assert copy.get_layer("with_bias").activation is keras.activations.relu


def test_the_callers_model_is_left_alone(fragile, photos):
    before = [weight.numpy().copy() for weight in fragile.weights]
    correction.corrected(fragile, photos[0])
    for weight, old in zip(fragile.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)


def test_the_file_is_closer_to_keras(fragile, photos):
    expected = fragile.predict(photos[0].astype("float32"), verbose=0)
    plain, better = (
        np.abs(LiteModel(convert.int8(model, photos[0])).predict(photos[0]) - expected).mean()
        for model in (fragile, correction.corrected(fragile, photos[0]))
    )
    assert better < plain / 1.5


def test_a_layer_used_twice_is_left_as_it_is(photos):
    inputs = keras.Input((48, 48, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(shared(shared(inputs))))
    copy = correction.corrected(model, photos[0])
    for ours, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_tensor_that_was_turned_is_passed_on(photos):
    inputs = keras.Input((48, 48, 3))
    x = keras.ops.transpose(layers.GlobalAveragePooling2D()(inputs), (1, 0))
    model = keras.Model(inputs, layers.Dense(2, name="last")(keras.ops.transpose(x, (1, 0))))
    copy = correction.corrected(model, photos[0])
    assert np.isfinite(copy.get_layer("last").bias.numpy()).all()


def test_models_within_models_are_corrected_too(photos):
    inner_inputs = keras.Input((48, 48, 3))
    inner = keras.Model(inner_inputs, layers.Conv2D(4, 3, name="inside")(inner_inputs), name="inner")
    inputs = keras.Input((48, 48, 3))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(inner(inputs)))
    inner.get_layer("inside").kernel.assign(np.random.default_rng(0).normal(size=(3, 3, 3, 4)))
    copy = correction.corrected(model, photos[0])
    assert np.abs(copy.get_layer("inner").get_layer("inside").bias.numpy()).max() > 0


def test_a_model_without_a_graph_is_returned(photos):
    class Subclass(keras.Model):
        def call(self, x):
            return x

    model = Subclass()
    assert correction.corrected(model, photos[0]) is model


FOUR = correction.Rounding(kernels=4)


def test_kernels_of_four_bits_stand_on_their_grid(fragile, photos):
    copy = correction.corrected(fragile, photos[0], FOUR)
    kernel = copy.get_layer("with_bias").kernel.numpy()
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 7
    np.testing.assert_allclose(kernel / scale, np.round(kernel / scale), atol=1e-4)
    assert len(np.unique(np.round(kernel / scale))) <= 15
    for name in ("edges", "settle"):  # depthwise, and a normalisation
        old, new = fragile.get_layer(name).get_weights(), copy.get_layer(name).get_weights()
        np.testing.assert_array_equal(new[0], old[0])


def test_a_four_bit_file_is_closer_to_keras(fragile, photos):
    from tfmap.export import quantizer

    expected = fragile.predict(photos[0].astype("float32"), verbose=0)
    plain, better = (
        np.abs(LiteModel(quantizer.int4(model, photos[0])).predict(photos[0]) - expected).mean()
        for model in (fragile, correction.corrected(fragile, photos[0], FOUR))
    )
    assert better < plain / 1.5


@settings(deadline=None)
@given(
    arrays.arrays(np.float32, (3, 3, 5, 2), elements=st.floats(-8, 8, width=32)),
    st.sampled_from([4, 8]),
)
def test_rounding_is_to_the_nearest_level_of_a_symmetric_grid(kernel, bits):
    found = correction._rounded(kernel, (3,), bits)
    plain = correction._on_grid(kernel, np.abs(kernel).max(axis=(0, 1, 2), keepdims=True) / (2 ** (bits - 1) - 1), 127)
    # Clipping a few large weights pays, or is not done.
    assert np.square(found - kernel).sum() <= np.square(plain - kernel).sum() * (1 + 1e-5) + 1e-6
    assert np.abs(found).max() <= np.abs(kernel).max() * (1 + 1e-6)


def test_a_layer_that_stays_in_float_is_not_corrected_for_rounding(fragile, photos):
    names = [layer.name for layer in fragile.layers]
    copy = correction.corrected(fragile, photos[0], floats=names)
    for ours, theirs in zip(copy.get_weights(), fragile.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.02)
    plain = correction.corrected(fragile, photos[0])
    gap = [
        np.abs(m.get_layer("blow_up").moving_mean - fragile.get_layer("blow_up").moving_mean).max()
        for m in (copy, plain)
    ]
    assert gap[0] < gap[1] / 5
