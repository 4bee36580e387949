import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfmap.compress import bridge
from tfmap.compress.callbacks import CarefulAdam, culprit, trouble


def pictures():
    return tf.random.stateless_uniform((2, 32, 32, 3), (0, 0), maxval=255.0)


@pytest.mark.parametrize("name", ["stem", "project", "logits"])
def test_the_first_layer_that_gives_no_number_is_named(residual, name):
    legacy = bridge.to_tf_keras(residual)
    kernel = legacy.get_layer(name).kernel
    kernel.assign(tf.fill(kernel.shape, np.inf))
    assert culprit(legacy, pictures()) == f"the first layer whose output is no number is {name!r}"


def test_pictures_and_labels_are_named_too(residual):
    legacy = bridge.to_tf_keras(residual)
    assert culprit(legacy, pictures() * np.nan) == "the pictures themselves are not finite"
    assert "every layer is finite on the first batch" in culprit(legacy, pictures())


def test_adam_takes_no_step_on_a_gradient_that_is_no_number():
    variables = [tf.Variable([1.0, 2.0]), tf.Variable(3.0)]
    adam = CarefulAdam(0.1)
    adam.apply_gradients(zip([tf.constant([1.0, np.nan]), tf.constant(1.0)], variables, strict=True))
    np.testing.assert_array_equal(variables[0], [1.0, 2.0])
    assert float(variables[1]) == 3.0
    assert trouble(0.5, adam) == "a gradient became no number"
    assert trouble(np.inf, adam) == "the loss became inf"
    assert trouble(0.5, CarefulAdam()) == ""
    adam.apply_gradients(zip([tf.constant([1.0, 1.0]), tf.constant(1.0)], variables, strict=True))
    assert isinstance(adam, tf_keras.optimizers.Adam)
    assert float(variables[1]) < 3.0
