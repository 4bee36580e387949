import numpy as np
import pytest
import tensorflow as tf

from tfmap.compress import bridge, qat
from tfmap.compress.walk import bare, called, walk


@pytest.mark.parametrize("quantized", [False, True])
def test_a_walk_gives_what_the_model_gives(residual, quantized):
    legacy = bridge.to_tf_keras(residual)
    if quantized:
        legacy, ranges = qat.quantized(legacy)
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32"))
    seen = {}

    def visit(layer, args, kwargs):
        seen[bare(layer).name] = called(layer, args, kwargs)
        return seen[bare(layer).name]

    walk(legacy, images, visit)
    np.testing.assert_allclose(seen["probabilities"], legacy(images, training=False), atol=1e-6)
    assert {"stem", "stem_bn", "skip", "logits"} <= set(seen)


def test_training_reaches_the_layers_that_know_it(residual):
    legacy = bridge.to_tf_keras(residual)
    images = tf.random.stateless_uniform((4, 32, 32, 3), (0, 0), maxval=255.0)
    before = legacy.get_layer("stem_bn").moving_mean.numpy()
    walk(legacy, images, lambda layer, args, kwargs: called(layer, args, kwargs, training=True))
    assert not np.allclose(before, legacy.get_layer("stem_bn").moving_mean.numpy())
