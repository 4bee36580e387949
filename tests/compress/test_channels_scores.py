import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfmap.compress import channels_scores
from tfmap.compress.channels_groups import groups
from tfmap.compress.channels_rebuild import flattened
from tfmap.errors import InputError


@pytest.fixture
def net(classifier):
    flat = flattened(classifier)
    return flat, groups(flat)


def made_by(found, layer):
    return next(axis.channels for axis in found.axes if axis.layer == layer and axis.role == "makes")


def first(model):
    return next(layer for layer in model.layers if type(layer) is layers.Conv2D)


def test_small_filters_are_worth_little(net):
    flat, found = net
    convolution = first(flat)
    convolution.kernel.assign(np.asarray(convolution.kernel) * ([0.01] * 3 + [1.0] * 13))
    worth = channels_scores.l1(flat, found)[made_by(found, convolution.name)]
    assert worth[:3].max() < 0.1 < worth[3:].min()
    assert worth.mean() == pytest.approx(1)


def test_small_scales_are_worth_little(net):
    flat, found = net
    for layer in flat.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign([0.01] * 3 + [1.0] * (layer.gamma.shape[0] - 3))
    worth = channels_scores.batchnorm(flat, found)[made_by(found, first(flat).name)]
    np.testing.assert_allclose(worth[:3] / worth[3], 0.01, rtol=1e-5)


def test_channels_behind_no_norm_are_not_judged_by_norms():
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 1, name="a")(image))
    x = layers.Conv2D(8, 1, name="b")(x)
    flat = flattened(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))))
    found = groups(flat)
    worth = channels_scores.batchnorm(flat, found)
    assert np.isfinite(worth[made_by(found, "a")]).all()
    assert np.isinf(worth[made_by(found, "b")]).all()


def test_a_model_without_norms_cannot_be_judged_by_them():
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(scale=False)(layers.Conv2D(8, 1)(image))
    flat = flattened(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))))
    with pytest.raises(InputError, match="this model has none behind channels that may go. Take score='taylor'"):
        channels_scores.batchnorm(flat, groups(flat))


def test_the_change_of_the_loss_is_the_derivative(net, photos):
    """Along the direction in which a group fades: central differences say the same."""
    flat, found = net
    axes = [axis for axis in found.axes if axis.role == "reads"]
    picture, label = tf.constant(photos[0][:4], tf.float32), tf.constant(photos[1][:4])
    targets = tf.one_hot(label, flat.output_shape[-1])
    loss = channels_scores._entropy(False)
    changes = channels_scores._change(flat, axes, len(found.family), loss)(picture, targets).numpy()
    expected = {}
    for group in found.family.argsort()[-8:]:
        less, more = (_faded(flat, axes, group, step, picture, label) for step in (-0.01, 0.01))
        expected[group] = (more - less) / 0.02
    assert max(map(abs, expected.values())) > 1e-5
    for group, change in expected.items():
        assert changes[group] == pytest.approx(change, rel=0.02, abs=2e-6)


def _faded(flat, axes, group, step, picture, label):
    """The loss where kernels read (1 + step) times a group."""
    before = {}
    for axis in axes:
        weight = channels_scores._variable(flat, axis)
        before.setdefault(id(weight), (weight, np.asarray(weight).copy()))
        factor = np.where(axis.channels == group, 1 + step, 1.0)
        shape = [-1 if i == axis.axis else 1 for i in range(len(weight.shape))]
        weight.assign(np.asarray(weight) * factor.reshape(shape))
    loss = float(tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(label, flat(picture, training=False))))
    for weight, value in before.values():
        weight.assign(value)
    return loss


def test_what_nothing_reads_is_worth_nothing(net, feed):
    flat, found = net
    top = flat.layers[-1]
    top.kernel.assign(np.asarray(top.kernel) * np.array([0.0] * 5 + [1.0] * 27)[:, None])
    worth = channels_scores.taylor(flat, found, feed)
    read = next(axis.channels for axis in found.axes if axis.layer == top.name and axis.role == "reads")
    np.testing.assert_array_equal(worth[read[:5]], 0)
    assert np.all(worth[read[5:]] > 0)
    np.testing.assert_array_equal(worth, channels_scores.taylor(flat, found, feed))


def test_a_model_of_mixed_precision_is_judged_in_float32(classifier, net, feed):
    """In float16, gradients of a loss that nobody has scaled are rounded, many of them to zero."""
    flat, found = net

    def mixed(layer):
        return type(layer).from_config({**layer.get_config(), "dtype": "mixed_float16"})

    twin = keras.models.clone_model(flat, clone_function=mixed)
    twin.set_weights(flat.get_weights())
    assert twin.layers[-1].compute_dtype == "float16"
    expected, worth = (channels_scores.taylor(model, found, feed) for model in (flat, twin))
    np.testing.assert_allclose(worth, expected, rtol=1e-4)


class Pictures:
    """Batches of one kind."""

    def __init__(self, images, labels, weights):
        self.batch = {"image": images, "label": labels, "weight": np.asarray(weights, "float32")}

    def train(self, epoch, step, epochs):
        return tf.data.Dataset.from_tensors(self.batch)


def test_pictures_of_weight_0_are_not_looked_at(net, photos):
    flat, found = net
    images, labels = photos[0][::6], photos[1][::6]
    lost = np.zeros_like(images[:4])
    with_lost = Pictures(np.concatenate([lost, images]), np.concatenate([labels[-4:], labels]), [0] * 4 + [1] * 8)
    expected = channels_scores.taylor(flat, found, Pictures(images, labels, [1] * 8))
    np.testing.assert_allclose(channels_scores.taylor(flat, found, with_lost), expected, rtol=1e-5)
