"""Real photographs as a training feed, and small networks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tests.conftest import by_heart
from tfmap import tasks
from tfmap.compress.channels_groups import groups
from tfmap.compress.channels_notes import READS
from tfmap.compress.channels_rebuild import flattened, shrunk
from tfmap.source import Source
from tfmap.train.feed import Feed


@pytest.fixture(scope="session")
def source(trash_split, trash_classes):
    """48 photographs of six classes; the training photographs are the validation ones too, so that what a network has
    learned by heart must survive compression."""
    return Source("photos", trash_classes, {"train": trash_split, "val": trash_split})


@pytest.fixture(scope="session")
def feed(classifier, source):
    """Three batches of 16 an epoch."""
    return Feed(classifier, source, tasks.get("classification"), options={"batch_size": 16}, seed=0)


@pytest.fixture(scope="session")
def accuracy(photos):
    """probabilities (48, K) -> share of the photographs that are right."""
    return lambda probabilities: float(np.mean(np.argmax(probabilities, axis=-1) == photos[1]))


@pytest.fixture(scope="session")
def residual():
    """A small classifier of what networks for phones are made of: depthwise, squeeze and excite, hard-swish, a skip."""
    keras.utils.set_random_seed(3)
    image = keras.Input((32, 32, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="normalisation")(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.Activation("hard_swish", name="stem_swish")(layers.BatchNormalization(name="stem_bn")(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    y = layers.ReLU(6.0, name="relu6")(layers.BatchNormalization(name="depthwise_bn")(y))
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(y)
    gate = layers.Conv2D(4, 1, activation="relu", name="reduce")(gate)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid", name="expand")(gate)
    y = layers.Multiply(name="excite")([y, gate])
    y = layers.Conv2D(8, 1, name="project")(y)
    x = layers.Add(name="skip")([x, y])
    x = layers.Conv2D(16, 1, name="top")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    x = layers.Dense(6, name="logits")(x)
    return keras.Model(image, layers.Activation("softmax", name="probabilities")(x), name="residual")


@pytest.fixture(scope="session")
def wide(photos):
    """A classifier of four kernels wide enough to prune or round, which has learned the photographs by heart."""
    keras.utils.set_random_seed(1)
    image = keras.Input((48, 48, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    for name, width in {"stem": 16, "body": 32, "top": 32}.items():
        x = layers.Conv2D(width, 3, strides=2, use_bias=False, name=name)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Dense(6, activation="softmax", name="probabilities")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, x)
    return by_heart(model, photos, 0.01)


def _shake(model, seed=0):
    """Weights as a training leaves them: norms with means and variances that differ from 0 and 1."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith(("beta", "moving_mean", "bias")):
            weight.assign(rng.uniform(-0.3, 0.3, weight.shape))
    return model


@pytest.fixture(scope="session")
def without():
    """(model, keep) -> the model without a random half of the channels that may go, once it has been shown to answer
    as the whole model does with zeros in their place."""

    def check(model, keep=()):
        flat = flattened(_shake(model))
        found = groups(flat, keep)
        kept = np.ones(len(found.family), bool)
        rng = np.random.default_rng(2)
        for family in range(found.family.max(initial=-1) + 1):
            members = np.flatnonzero(found.family == family)
            kept[rng.choice(members, len(members) // 2, replace=False)] = False
        small = shrunk(flat, found, kept)
        picture = rng.uniform(0, 255, (2, *model.input_shape[1:])).astype("float32")
        _agree(model, flat, picture)
        _silence(flat, found, kept)
        _agree(flat, small, picture)
        return small

    return check


def _silence(flat, found, kept):
    """Zero what kernels read of the channels that go."""
    for axis in found.axes:
        if axis.role == READS:
            weight = next(w for w in flat.get_layer(axis.layer).weights if w.name == axis.weight)
            mask = kept[axis.channels].reshape([-1 if i == axis.axis else 1 for i in range(len(weight.shape))])
            weight.assign(weight * mask.astype("float32"))


def _agree(one, other, picture):
    expected, received = (keras.tree.flatten(model(picture, training=False)) for model in (one, other))
    for a, b in zip(map(np.asarray, expected), map(np.asarray, received), strict=True):
        assert np.std(a) > 0
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * np.abs(a).max())
