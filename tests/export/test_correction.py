"""Bias correction: the mean of every channel is that of the unrounded model, and nothing else changes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tfmap.export import convert, correction
from tfmap.litert import LiteModel


@pytest.fixture(scope="module")
def fragile(photos):
    """A model whose depthwise kernels nearly cancel out, as edge detectors do, and are blown up behind."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((48, 48, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1, name="normalisation")(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="settle")(layers.Conv2D(8, 3, use_bias=False)(x)))
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


def _round_kernels(model):
    for layer in model.layers:
        if type(layer) in correction.KERNELS:
            layer.kernel.assign(correction._rounded(layer.kernel.numpy(), correction.KERNELS[type(layer)]))
    return model


def _means(model, name, photos):
    outputs = keras.Model(model.inputs, model.get_layer(name).output)
    return outputs.predict(photos[0].astype("float32"), verbose=0).mean(axis=(0, 1, 2), dtype="float64")


@pytest.mark.parametrize("name", ["settle", "blow_up"])
def test_the_means_are_those_of_the_unrounded_model(fragile, photos, name):
    expected = _means(fragile, name, photos)
    plain = np.abs(_means(_round_kernels(_copy(fragile)), name, photos) - expected).max()
    found = np.abs(_means(_round_kernels(correction.corrected(fragile, photos[0])), name, photos) - expected).max()
    assert plain > 1e-4
    assert found < plain / 50


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
    assert better < plain


def test_a_layer_used_twice_is_left_as_it_is(photos):
    inputs = keras.Input((48, 48, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(shared(shared(inputs))))
    copy = correction.corrected(model, photos[0])
    for ours, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


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
