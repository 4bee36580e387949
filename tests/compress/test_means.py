import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfmap.compress import bridge, means, qat, quantizers
from tfmap.compress.walk import bare, called, walk


@pytest.fixture
def pictures(photos):
    return tf.constant(photos[0][:32], tf.float32)


def start(model, pictures, carriers=()):
    """The fake-quantised model with its ranges, before any correction."""
    legacy, ranges = qat.quantized(bridge.to_tf_keras(model, carriers=carriers))
    qat._freeze_norms(legacy)
    quantizers.calibrate(legacy, ranges, [pictures])
    quantizers.measure_kernels(legacy)
    return legacy


def inputs_of_norms(model, pictures):
    found = {}

    def visit(layer, args, kwargs):
        if "batch_normalization" in bare(layer).name:
            norm = bare(layer)
            found[norm.name] = np.mean((args[0] - norm.moving_mean) / np.sqrt(norm.moving_variance), axis=(0, 1, 2))
        return called(layer, args, kwargs)

    walk(model, pictures, visit)
    return found


def test_channels_get_back_the_means_of_the_exact_network(classifier, pictures):
    exact, legacy = bridge.to_tf_keras(classifier), start(classifier, pictures)
    wanted, before = inputs_of_norms(exact, pictures), inputs_of_norms(legacy, pictures)
    means.correct(legacy, exact, pictures)
    after = inputs_of_norms(legacy, pictures)
    assert len(wanted) == 4
    for name, mean in wanted.items():
        np.testing.assert_allclose(after[name], mean, atol=1e-4)
    assert max(np.abs(before[name] - wanted[name]).max() for name in wanted) > 0.01


def test_outputs_come_nearer(classifier, pictures):
    exact, legacy = bridge.to_tf_keras(classifier), start(classifier, pictures)
    wanted, before = exact(pictures), legacy(pictures, training=False)
    means.correct(legacy, exact, pictures)
    after = legacy(pictures, training=False)
    assert np.abs(after - wanted).mean() < np.abs(before - wanted).mean()


def test_a_bias_of_a_linear_layer_is_shifted_and_others_are_not(residual):
    pictures = tf.random.stateless_uniform((8, 32, 32, 3), (0, 0), maxval=255.0)
    exact, legacy = bridge.to_tf_keras(residual), start(residual, pictures)
    biases = {bare(layer).name: getattr(bare(layer), "bias", None) for layer in legacy.layers}
    before = {name: bias.numpy() for name, bias in biases.items() if bias is not None}
    means.correct(legacy, exact, pictures)
    moved = {name for name, bias in before.items() if not np.array_equal(bias, biases[name])}
    assert {"project", "top", "logits"} <= moved
    assert "reduce" not in moved  # its activation stands between its bias and its output


def test_what_maps_of_several_sizes_share_is_left_as_it_is():
    """It has an error for each of them, and one bias."""
    image = keras.Input((16, 16, 3))
    kernel, norm = layers.Conv2D(4, 3, name="shared"), layers.BatchNormalization(name="shared_norm")
    maps = [norm(kernel(x)) for x in (image, layers.MaxPooling2D(2)(image))]
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x) for x in maps])
    model = keras.Model(image, layers.Dense(3, name="own")(x))
    pictures = tf.random.stateless_uniform((8, 16, 16, 3), (0, 0), maxval=255.0)
    carriers = ["shared_norm"]
    exact, legacy = bridge.to_tf_keras(model, carriers=carriers), start(model, pictures, carriers)
    found = {bare(layer).name: bare(layer) for layer in legacy.layers}
    before = [found[name].get_weights() for name in ("shared", "shared_norm", "own")]
    means.correct(legacy, exact, pictures)
    after = [found[name].get_weights() for name in ("shared", "shared_norm", "own")]
    same = [all(map(np.array_equal, one, other)) for one, other in zip(before, after, strict=True)]
    assert same == [True, True, False]
