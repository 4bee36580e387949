"""Which layers get which fake quantiser, and how ranges are learnt."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfmap.compress import bridge, calls, fake_quantizers, fusions, qat
from tfmap.compress.walk import bare


def ends():
    return {"min_var": tf.Variable(0.0), "max_var": tf.Variable(0.0)}


def heard(quantizer, share, variables, *calls):
    quantizer.listen(share)
    for low, high in calls:
        quantizer(tf.constant([low, high]), True, variables)
    return [float(variables[f"{end}_var"]) for end in ("min", "max")]


def test_a_range_is_the_mean_of_the_extremes_of_batches():
    quantizer, variables = fake_quantizers.CalibratedRange(), ends()
    assert heard(quantizer, 1, variables, (-1.0, 2.0)) == [-1, 2]
    assert heard(quantizer, 1 / 2, variables, (-2.0, 4.0)) == [-1.5, 3]


def test_of_several_calls_in_a_batch_the_extremes_count_once():
    quantizer, variables = fake_quantizers.CalibratedRange(), ends()
    assert heard(quantizer, 1, variables, (-1.0, 8.0), (-4.0, 1.0), (0.0, 2.0)) == [-4, 8]
    assert heard(quantizer, 1 / 2, variables, (-1.0, 2.0), (-2.0, 1.0), (0.0, 4.0)) == [-3, 6]


def test_zero_is_in_every_range():
    assert heard(fake_quantizers.CalibratedRange(), 1, ends(), (3.0, 5.0)) == [0, 5]
    assert heard(fake_quantizers.CalibratedRange(), 1, ends(), (-5.0, -3.0)) == [-5, 0]


def test_what_was_silent_has_a_range_all_the_same():
    quantizer, silent, quiet = fake_quantizers.CalibratedRange(), ends(), ends()
    heard(quantizer, 1, silent, (0.0, 0.0))
    quantizer(tf.constant([-1e-3, 0.0]), True, quiet)
    assert heard(quantizer, 0, silent) == [0, 1]
    assert heard(quantizer, 0, quiet) == pytest.approx([-1e-3, 0])


def test_a_range_stays_once_nobody_listens():
    quantizer, variables = fake_quantizers.CalibratedRange(), ends()
    assert heard(quantizer, 0, variables, (-1.0, 2.0)) == [0, 0]


def scales_of_ones(calls):
    """The ends of the ranges that ones are stored with in one graph."""
    ones = fake_quantizers.Ones((0, 1, 3, 2), fake_quantizers.Encodings())

    @tf.function(autograph=False)
    def graph(kernel):
        return [ones(kernel, False, {}) for _ in range(calls)]

    kernel = tf.ones((1, 1, 2, 1))
    np.testing.assert_allclose(graph(kernel), np.ones((calls, 1, 1, 2, 1)), rtol=1e-6)
    made = graph.get_concrete_function(kernel).graph.get_operations()
    inputs = [op.inputs[2] for op in made if op.type == "FakeQuantWithMinMaxVarsPerChannel"]
    return [float(np.ravel(tf.get_static_value(tensor))[0]) for tensor in inputs]


def test_ones_are_another_number_at_every_use_and_the_same_in_every_graph():
    found = scales_of_ones(100)
    assert len(set(found)) == 100
    np.testing.assert_allclose(127 / np.array(found), np.arange(127, 27, -1), rtol=1e-6)
    assert scales_of_ones(3) == found[:3]


def tower(tail):
    """What `tail` does with the maps of a shared convolution: (kernel, [map, map]) -> [map, map]."""
    image = keras.Input((16, 16, 3))
    kernel = layers.Conv2D(4, 3, name="kernel")
    maps = tail(kernel, [kernel(image), kernel(layers.MaxPooling2D(2)(image))])
    return keras.Model(image, layers.Concatenate()([layers.GlobalMaxPooling2D()(x) for x in maps]))


def shared(layer):
    return lambda _, maps: [layer(x) for x in maps]


def normed(after):
    norm = layers.BatchNormalization(name="norm")
    return lambda _, maps: [after(norm(x)) for x in maps]


def again(kernel, maps):
    return [layers.ReLU()(maps[0]), layers.Conv2D(4, 1)(maps[1])]


CARRIED = {"norm_carrier", "norm"}
SILENT = {
    "a ReLU": (shared(layers.ReLU()), {"kernel"}),
    "a ReLU6": (shared(layers.ReLU(6.0)), {"kernel"}),
    "an activation": (shared(layers.Activation("relu")), {"kernel"}),
    "a ReLU that no op has": (shared(layers.ReLU(4.0)), set()),
    "a leaky ReLU": (shared(layers.LeakyReLU(0.1)), set()),
    "a ReLU and something else": (again, set()),
    "nothing but a pooling": (lambda _, maps: maps, set()),
    "a norm and a ReLU": (normed(layers.ReLU()), CARRIED),
    "a norm and a swish": (normed(layers.Activation("swish")), {"norm_carrier"}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("readers", SILENT)
def test_a_shared_layer_is_not_rounded_where_the_file_fuses_what_reads_it(readers):
    tail, expected = SILENT[readers]
    legacy = bridge.to_tf_keras(tower(tail), carriers=["norm"])
    assert fusions.silent(legacy) == expected
    quantized, _ = qat.quantized(legacy)
    wrappers = {bare(layer).name: layer for layer in quantized.layers if hasattr(layer, "_output_quantizers")}
    assert all(not wrappers[name]._output_quantizers and not wrappers[name]._quantize_activations for name in expected)
    assert len(wrappers["kernel"]._weight_vars) == 1


def branched():
    """A network of one ReLU, called three times, its last call first in the outputs; a shared kernel and a guest."""
    image, relu, kernel = keras.Input((8, 8, 3)), layers.ReLU(name="relu"), layers.Conv2D(3, 1, name="kernel")
    a = relu(kernel(image))
    b = relu(kernel(layers.MaxPooling2D(2)(a)))
    x = layers.Add()([layers.GlobalAveragePooling2D()(a), layers.GlobalAveragePooling2D()(b)])
    return keras.Model(image, [relu(layers.LayerNormalization()(layers.Dense(5)(x))), b])


def test_every_call_of_a_layer_without_weights_is_a_layer():
    pictures, legacy = (
        tf.constant(np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3))),
        bridge.to_tf_keras(branched()),
    )
    result = calls.apart(legacy)
    names = {layer.name: len(layer.inbound_nodes) for layer in result.layers if "relu" in layer.name}
    assert names == {"relu": 1, "relu__call_1": 1, "relu__call_2": 1}
    assert len(result.get_layer("kernel").inbound_nodes) == 2
    for received, expected in zip(result(pictures), legacy(pictures), strict=True):
        np.testing.assert_array_equal(received, expected)


def test_a_model_without_such_a_layer_stays():
    legacy = bridge.to_tf_keras(tower(again))
    assert calls.apart(legacy) is legacy


def test_a_layer_that_is_used_once_or_is_an_output_is_rounded():
    image = keras.Input((16, 16, 3))
    kernel, relu = layers.Conv2D(4, 3, name="kernel"), layers.ReLU()
    assert fusions.silent(bridge.to_tf_keras(keras.Model(image, relu(kernel(image))))) == set()
    maps = [kernel(image), kernel(layers.MaxPooling2D(2)(image))]
    model = keras.Model(image, [maps[0], *[relu(x) for x in maps]])
    assert fusions.silent(bridge.to_tf_keras(model)) == set()


def test_norms_that_cannot_be_folded_get_a_carrier():
    image = keras.Input((16, 16, 3))
    plain, active, twice = (layers.Conv2D(3, 1, activation=kind) for kind in (None, "relu", None))
    x = layers.BatchNormalization(name="folded")(plain(image))
    x = layers.BatchNormalization(name="behind_relu")(active(x))
    a, b = twice(x), twice(layers.MaxPooling2D(2)(x))
    norm = layers.BatchNormalization(name="of_both")
    maps = [norm(a), norm(layers.BatchNormalization(name="of_one")(b))]
    x = layers.Concatenate()([layers.GlobalMaxPooling2D()(x) for x in maps])
    model = keras.Model(image, layers.BatchNormalization(name="of_vectors")(x))
    assert qat.lonely_norms(bridge.to_tf_keras(model)) == {"behind_relu", "of_both", "of_one", "of_vectors"}
