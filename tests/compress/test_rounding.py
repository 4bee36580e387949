import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfmap.compress.rounding import Rounded


def test_a_layer_computes_with_the_rounded_kernel_and_learns_the_one_behind_it():
    dense = tf_keras.layers.Dense(2)
    layer = Rounded(dense, lambda kernel: kernel * 0 + 0.5)
    inputs = tf.constant([[1.0, 2.0, 3.0]])
    layer(inputs)
    learnt = dense.kernel
    before = learnt.numpy()
    with tf.GradientTape() as tape:
        outputs = layer(inputs)
        loss = tf.reduce_sum(outputs * [1.0, 10.0])
    np.testing.assert_allclose(outputs, [[3.0, 3.0]])
    np.testing.assert_allclose(tape.gradient(loss, learnt), np.outer([1, 2, 3], [1, 10]))
    assert dense.kernel is learnt
    np.testing.assert_array_equal(learnt.numpy(), before)


def test_the_kernel_comes_back_after_an_error():
    dense = tf_keras.layers.Dense(2)
    layer = Rounded(dense, lambda kernel: kernel)
    layer(tf.zeros((1, 3)))
    learnt = dense.kernel
    dense.call = lambda inputs: 1 / 0
    with pytest.raises(ZeroDivisionError):
        layer.call(tf.zeros((1, 3)))
    assert dense.kernel is learnt
