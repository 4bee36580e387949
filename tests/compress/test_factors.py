import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tfmap.compress.factors import factor, of, svd, tucker


def built(layer, shape=(9, 9, 12), seed=0):
    """A layer of a model, with random weights."""
    keras.utils.set_random_seed(seed)
    image = keras.Input(shape)
    keras.Model(image, layer(image))
    if layer.use_bias:
        layer.bias.assign(np.random.default_rng(seed).normal(size=layer.bias.shape))
    return layer


LAYERS = {
    "dense": (lambda: layers.Dense(7, activation="relu"), (12,)),
    "dense on maps": (lambda: layers.Dense(7, use_bias=False), (5, 12)),
    "pointwise": (lambda: layers.Conv2D(10, 1, activation="tanh"), (9, 9, 12)),
    "pointwise, strides": (lambda: layers.Conv2D(10, 1, strides=2, use_bias=False), (9, 9, 12)),
    "spatial": (lambda: layers.Conv2D(10, 3, padding="same", activation="relu"), (9, 9, 12)),
    "spatial, strides": (lambda: layers.Conv2D(10, (3, 5), strides=2, padding="same"), (9, 9, 12)),
    "spatial, dilated": (lambda: layers.Conv2D(10, 3, dilation_rate=2, use_bias=False), (9, 9, 12)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_full_rank_is_the_layer_itself(name):
    make, shape = LAYERS[name]
    layer = built(make(), shape)
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype("float32")
    found = x
    parts = factor(layer, of(layer).ranks(1.0))
    for part in parts:
        found = part(found)
    np.testing.assert_allclose(np.asarray(found), np.asarray(layer(x)), rtol=1e-5, atol=1e-5)
    assert parts[-1].name == layer.name
    assert len(parts) == (3 if name.startswith("spatial") else 2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 0.99), st.booleans())
def test_the_energy_is_kept(seed, energy, spatial):
    layer = built(layers.Conv2D(10, 3 if spatial else 1), seed=seed)
    kernel = np.asarray(layer.kernel, np.float64)
    ranks = of(layer).ranks(energy)
    if spatial:
        inputs, core, outputs = tucker(kernel, *ranks)
        found = np.einsum("ir,hwrs,so->hwio", inputs, core, outputs)
    else:
        first, last = svd(kernel[0, 0], *ranks)
        found = (first @ last)[None, None]
    assert np.square(found - kernel).sum() <= (1 - energy) * np.square(kernel).sum() * (1 + 1e-6)


def test_no_lower_rank_of_a_matrix_keeps_the_energy():
    layer = built(layers.Dense(10), (12,))
    (rank,) = of(layer).ranks(0.8)
    kernel = np.asarray(layer.kernel, np.float64)
    first, last = svd(kernel, rank - 1)
    assert np.square(first @ last - kernel).sum() > 0.2 * np.square(kernel).sum()


def test_what_it_costs_and_whether_it_pays():
    spatial = of(built(layers.Conv2D(10, 3, strides=2)))
    assert spatial.weights((4, 5)) == 12 * 4 + 9 * 4 * 5 + 5 * 10
    assert spatial.weights((4, 5), stride=spatial.stride) == 4 * 12 * 4 + 9 * 4 * 5 + 5 * 10
    assert spatial.saved((4, 5)) == 9 * 120 - spatial.weights((4, 5))
    assert spatial.pays((4, 5))
    assert not spatial.pays((12, 10))
    matrix = of(built(layers.Dense(10), (12,)))
    assert matrix.weights((5,)) == 110
    assert matrix.pays((5,))
    assert not matrix.pays((6,))


@pytest.mark.parametrize(
    "layer", [layers.DepthwiseConv2D(3), layers.Conv2D(12, 3, groups=2), layers.Conv2DTranspose(4, 3)], ids=str
)
def test_what_cannot_be_split(layer):
    assert of(built(layer)) is None


def test_a_layer_that_no_graph_uses_is_left():
    layer, image = layers.Dense(12), keras.Input((12,))
    layer.build((None, 12))
    assert of(layer) is None
    keras.Model(image, layer(layer(image)))
    assert of(layer).shape == (12, 12)
