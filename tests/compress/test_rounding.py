import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfmap.compress.rounding import Rounded, _cloned


def dense():
    layer = tf_keras.layers.Dense(2)
    layer.build((None, 3))
    return layer


def test_a_layer_computes_with_the_rounded_kernel_and_learns_the_one_behind_it():
    inner = dense()
    layer = Rounded(inner, lambda kernel: kernel * 0 + 0.5)
    inputs = tf.constant([[1.0, 2.0, 3.0]])
    learnt, before = inner.kernel, inner.kernel.numpy()
    with tf.GradientTape() as tape:
        outputs = layer(inputs)
        loss = tf.reduce_sum(outputs * [1.0, 10.0])
    np.testing.assert_allclose(outputs, [[3.0, 3.0]], rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(loss, learnt), np.outer([1, 2, 3], [1, 10]))
    assert inner.kernel is learnt
    np.testing.assert_array_equal(learnt.numpy(), before)


def test_weights_that_are_zero_stay_it_and_ask_for_nothing():
    inner = dense()
    inner.kernel.assign([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
    layer = Rounded(inner, lambda kernel: kernel)
    inner.kernel.assign_add(tf.ones((3, 2)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.ones((1, 3))))
    np.testing.assert_array_equal(layer.used(), [[2, 0], [0, 3], [4, 5]])
    np.testing.assert_array_equal(tape.gradient(loss, inner.kernel), [[1, 0], [0, 1], [1, 1]])


def test_a_layer_that_is_called_twice_is_rounded_twice():
    image = tf_keras.Input((8, 8, 3))
    shared = tf_keras.layers.Conv2D(3, 3, name="shared")
    model = tf_keras.Model(image, [shared(image), shared(shared(image))])
    wrapped = _cloned(model, lambda layer: Rounded(layer, tf.sign) if layer.name == "shared" else layer)
    picture = tf.random.stateless_uniform((1, 8, 8, 3), [0, 1])
    once, twice = wrapped(picture)
    shared.kernel.assign(tf.sign(shared.kernel))
    for expected, received in zip(model(picture), (once, twice), strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-5)


def test_the_kernel_comes_back_after_an_error():
    inner = dense()
    layer = Rounded(inner, lambda kernel: kernel)
    learnt = inner.kernel
    inner.call = lambda inputs: 1 / 0
    with pytest.raises(ZeroDivisionError):
        layer.call(tf.zeros((1, 3)))
    assert inner.kernel is learnt
