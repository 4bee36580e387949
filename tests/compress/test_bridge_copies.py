import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.compress.parity import on
from tfmap.compress.bridge_copies import clone_of, in_float32

CELLS = (layers.LSTMCell, layers.GRUCell)


def of(policy, body, shape=(4,)):
    keras.config.set_dtype_policy(policy)
    try:
        return on(body, shape)
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_model_in_float32_is_itself():
    model = on(layers.Dense(3), (4,))
    assert in_float32(model) is model


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"])
def test_every_layer_of_any_other_is_in_float32(policy):
    def body(x):
        inner = on(lambda y: layers.Dense(4)(y) * 2, (4,), name="inner")
        x = layers.TimeDistributed(layers.Dense(3))(layers.Reshape((2, 2))(inner(x)))
        return layers.Bidirectional(layers.RNN([kind(2, "relu", "relu", True, "ones", "ones") for kind in CELLS]))(x)

    model = of(policy, body)
    plain = in_float32(model)
    assert plain is not model
    parts = plain._flatten_layers(include_self=False)
    assert {part.compute_dtype for part in parts if part.weights} == {"float32"}
    assert {weight.dtype for weight in plain.weights} == {"float32"}
    for one, other in zip(plain.weights, model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other, "float32"))


def test_a_cast_to_half_precision_becomes_one_to_float32():
    plain = in_float32(on(lambda x: ops.cast(x, "bfloat16") * 2, (4,)))
    assert plain.output.dtype == "float32"


def test_a_cast_to_whole_numbers_stays():
    model = on(lambda x: ops.cast(x, "int32"), (4,))
    assert in_float32(model) is model


def test_a_clone_of_an_adapted_normalisation_is_adapted():
    norm = layers.Normalization()
    norm.adapt(np.array([[1.0, 2.0], [3.0, 6.0]], "float32"))
    model = on(lambda x: norm(x), (2,))
    clone = clone_of(model)
    given = np.array([[5.0, 5.0]], "float32")
    np.testing.assert_allclose(clone(given), model(given))
    assert np.abs(np.asarray(clone(given)) - given).max() > 1
