"""A data set small enough to train on in a second."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfmap.source import Source, Split


def pixels(images, labels):
    """A split of raw pixels."""
    ids = np.array([f"picture {i}" for i in range(len(images))], object)
    return Split("pixels", images, labels, ids, np.zeros(len(images), bool))


@pytest.fixture(scope="session")
def source(photos):
    """Six classes, 36 pictures to train on and 12 to validate; each picture is tinted by its class, so that it can be
    learnt in a few steps."""
    images, labels = photos
    tint = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]])[labels]
    images = (0.4 * images + 150 * tint[:, None, None, :]).astype("uint8")
    held = np.arange(len(labels)) % 4 == 3
    splits = {"train": pixels(images[~held], labels[~held]), "val": pixels(images[held], labels[held])}
    return Source("photos", ("a", "b", "c", "d", "e", "f"), splits)


@pytest.fixture
def net():
    """See `new_net`."""
    return new_net()


def new_net():
    """A small convolutional classifier with BatchNorm and dropout, the same at every call."""
    keras.utils.set_random_seed(7)
    layers = keras.layers
    image = keras.Input((48, 48, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="normalisation")(image)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(x)
    x = layers.BatchNormalization(momentum=0.8, name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.Conv2D(16, 3, strides=2, name="body")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.1, seed=3, name="dropout")(x)
    x = layers.Dense(6, dtype="float32", name="logits")(x)
    return keras.Model(image, layers.Activation("softmax", dtype="float32", name="probabilities")(x))
