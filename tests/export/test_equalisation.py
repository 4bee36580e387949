"""Equalisation: narrow channels use the levels that are there, and the model answers what it did."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import layers as L

from tfmap.export import convert, equalisation
from tfmap.litert import LiteModel

NARROW = np.array([1, 1e-3, 0.3, 1e-2], "float32")  # widths of channels, beside the first's


def _normed(x):
    return L.BatchNormalization(name="scaled")(L.Conv2D(4, 3, use_bias=False, name="conv")(x))


FRONTS = {
    "a normalisation": lambda x: L.ReLU(6.0)(_normed(x)),
    "a padding between": lambda x: L.ZeroPadding2D(1)(L.ReLU(6.0)(_normed(x))),
    "a leaky one": lambda x: L.LeakyReLU(0.1)(_normed(x)),
    "nothing between": _normed,
    "an activation layer": lambda x: L.Activation("relu6")(_normed(x)),
    "a convolution alone": lambda x: L.Conv2D(4, 3, activation="relu", name="scaled")(x),
    "without a bias": lambda x: L.Conv2D(4, 3, use_bias=False, name="scaled")(x),
    "depthwise": lambda x: L.DepthwiseConv2D(3, name="scaled")(L.Conv2D(4, 1, activation="sigmoid")(x)),
    "several for each channel": lambda x: L.DepthwiseConv2D(3, depth_multiplier=2, name="scaled")(L.Conv2D(2, 1)(x)),
}
OTHERS = {
    "a curved activation": lambda x: L.Activation("silu")(_normed(x)),
    "an own curved activation": lambda x: L.Conv2D(4, 3, activation="sigmoid", name="scaled")(x),
    "a normalisation without a scale": lambda x: L.BatchNormalization(scale=False, name="scaled")(L.Conv2D(4, 3)(x)),
    "a sum": lambda x: L.Add()([_normed(x), L.Conv2D(4, 3)(x)]),
    "a pooling": lambda x: L.MaxPooling2D()(_normed(x)),
}


def _model(front, size=48):
    """A model whose narrow channels matter: the depthwise convolution blows them up."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, 3))
    x = front(L.Rescaling(1 / 127.5, offset=-1)(inputs))
    x = L.DepthwiseConv2D(3, name="reader")(x)
    model = keras.Model(inputs, x)
    scaled, reader = model.get_layer("scaled"), model.get_layer("reader")
    weights = scaled.get_weights()
    if isinstance(scaled, L.BatchNormalization) and scaled.scale:
        weights[0], weights[1] = weights[0] * NARROW, weights[1] + NARROW / 2
    elif type(scaled) is not L.BatchNormalization:
        weights = [
            w * NARROW.reshape(w.shape[2:] if w.shape[-1] < 4 or w.shape[-2:] == (2, 2) else -1) for w in weights
        ]
    scaled.set_weights(weights)
    kernel, bias = reader.get_weights()
    reader.set_weights([kernel / NARROW.reshape(-1, 1), bias])
    return model


def _answers(model, photos):
    return model.predict(photos[0].astype("float32"), verbose=0)


@pytest.mark.parametrize("name", FRONTS)
def test_the_model_answers_the_same_and_its_file_answers_better(name, photos):
    model = _model(FRONTS[name])
    copy = equalisation.equalised(model, photos[0])
    exact = _answers(model, photos)
    np.testing.assert_allclose(_answers(copy, photos), exact, rtol=1e-3, atol=1e-4 * np.abs(exact).max())
    plain, better = (
        np.abs(LiteModel(convert.int8(one, photos[0])).predict(photos[0]) - exact)[..., 1].mean()
        for one in (model, copy)
    )
    assert better < plain / 10


@pytest.mark.parametrize("name", OTHERS)
def test_what_does_not_scale_is_left_alone(name, photos):
    model = _model(OTHERS[name])
    assert equalisation.chains(model) == []
    assert equalisation.equalised(model, photos[0]) is model


def test_a_tensor_that_another_layer_reads_keeps_its_scale(photos):
    inputs = keras.Input((48, 48, 3))
    x = _normed(inputs)
    model = keras.Model(inputs, L.Add()([L.DepthwiseConv2D(3, padding="same")(x), x]))
    assert equalisation.chains(model) == []


def test_so_does_an_answer_and_one_of_a_layer_that_is_used_twice():
    inputs = keras.Input((48, 48, 3))
    x = _normed(inputs)
    assert equalisation.chains(keras.Model(inputs, [x, L.DepthwiseConv2D(3)(x)])) == []
    shared = L.DepthwiseConv2D(3, padding="same")
    assert equalisation.chains(keras.Model(inputs, shared(shared(_normed(inputs))))) == []


def test_models_in_the_model_are_seen(photos):
    inner = _model(FRONTS["a normalisation"])
    inputs = keras.Input((48, 48, 3))
    model = keras.Model(inputs, L.GlobalAveragePooling2D()(inner(inputs)))
    assert len(equalisation.chains(model)) == 1
    copy = equalisation.equalised(model, photos[0])
    np.testing.assert_allclose(_answers(copy, photos), _answers(model, photos), rtol=1e-3, atol=1e-4)


def test_layers_of_one_name_in_two_models_have_widths_of_their_own(photos):
    first, second = (_model(FRONTS[name]) for name in ("a convolution alone", "several for each channel"))
    second.get_layer("scaled").set_weights([100 * w for w in second.get_layer("scaled").get_weights()])
    inputs = keras.Input((48, 48, 3))
    parts = [
        L.GlobalAveragePooling2D()(keras.Model(m.input, m.output, name=n)(inputs))
        for m, n in ((first, "a"), (second, "b"))
    ]
    model = keras.Model(inputs, L.Concatenate()(parts))
    copy = equalisation.equalised(model, photos[0])
    for name, alone in (("a", first), ("b", second)):
        expected = equalisation.equalised(alone, photos[0]).get_layer("reader").kernel
        np.testing.assert_allclose(copy.get_layer(name).get_layer("reader").kernel, expected, rtol=1e-4)


def test_the_callers_model_is_left_alone(photos):
    model = _model(FRONTS["a normalisation"])
    before = [weight.numpy().copy() for weight in model.weights]
    equalisation.equalised(model, photos[0])
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)


@settings(deadline=None)
@given(arrays.arrays("float32", st.integers(1, 9), elements=st.floats(0, 1e6, width=32)))
def test_no_channel_goes_beyond_half_of_the_widest_and_none_shrinks(widths):
    by = equalisation.factors(widths)
    assert (by >= 1).all()
    assert (by <= equalisation.MOST * (1 + 1e-6)).all()
    assert (by[widths == 0] == 1).all()
    widened = by > 1
    assert (widths * by)[widened].max(initial=0) <= widths.max() / equalisation.HEADROOM * (1 + 1e-6)
