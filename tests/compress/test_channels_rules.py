"""What each layer does to channels: a layer between two convolutions lets half of the first one's channels go, and the
answers stay those of the whole model with zeros in their place; or it holds them all."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops


def between(body, shape=(16, 16, 3)):
    """A model with `body` behind a convolution "a" of 16 filters."""
    keras.utils.set_random_seed(5)
    image = keras.Input(shape, name="image")
    a = layers.Conv2D(16, 3, padding="same", name="a")(layers.Rescaling(1 / 255)(image))
    x = body(a)
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, name="b")(x))
    return keras.Model(image, layers.Dense(3, name="top")(x))


def gate(x, width=4):
    """Squeeze and excite, with a Reshape as EfficientNet has it."""
    y = layers.Reshape((1, 1, 16))(layers.GlobalAveragePooling2D()(x))
    y = layers.Conv2D(width, 1, activation="relu")(y)
    return layers.Multiply()([x, layers.Conv2D(16, 1, activation="sigmoid")(y)])


def spatial_gate(x):
    return layers.Multiply()([x, layers.Conv2D(1, 7, padding="same", activation="sigmoid")(x)])


def reshaped_at_two_widths(x):
    reshape = layers.Reshape((8, -1))
    return layers.Concatenate()([reshape(x), reshape(layers.Conv2D(4, 1)(x))])


GO = {
    "nothing": lambda x: x,
    "norm": lambda x: layers.BatchNormalization()(x),
    "norm by a positive axis": lambda x: layers.BatchNormalization(axis=3)(x),
    "norm without a scale": lambda x: layers.BatchNormalization(scale=False, center=False)(x),
    "relu": lambda x: layers.ReLU(6.0)(x),
    "activations": lambda x: layers.Activation("mish")(layers.LeakyReLU()(layers.ELU()(x))),
    "activations that move zero": lambda x: layers.Activation("softplus")(layers.Activation("sigmoid")(x)),
    "prelu": lambda x: layers.PReLU("uniform")(x),
    "prelu of channels": lambda x: layers.PReLU("uniform", shared_axes=(1, 2))(x),
    "prelu of places": lambda x: layers.PReLU("uniform", shared_axes=(3,))(x),
    "pooling": lambda x: layers.AveragePooling2D(2)(layers.MaxPooling2D(3, strides=1, padding="same")(x)),
    "padding and cropping": lambda x: layers.Cropping2D(1)(layers.ZeroPadding2D(((0, 1), (2, 1)))(x)),
    "enlarging": lambda x: layers.Resizing(9, 9)(layers.UpSampling2D(2, interpolation="bilinear")(x)),
    "noise": lambda x: layers.SpatialDropout2D(0.5)(layers.Dropout(0.5)(layers.GaussianNoise(0.1)(x))),
    "rescaling": lambda x: layers.Rescaling(0.5, offset=1.0)(x),
    "depthwise": lambda x: layers.DepthwiseConv2D(3, activation="relu")(x),
    "depthwise with a multiplier": lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2)(x),
    "separable": lambda x: layers.SeparableConv2D(12, 3, depth_multiplier=2, activation="relu")(x),
    "transposed": lambda x: layers.Conv2DTranspose(12, 3, strides=2)(x),
    "dense on a map": lambda x: layers.Dense(12, activation="relu")(x),
    "flattened": lambda x: layers.Flatten()(layers.MaxPooling2D(4)(x)),
    "flattened and back": lambda x: layers.Reshape((4, 4, 16))(layers.Flatten()(layers.MaxPooling2D(4)(x))),
    "reshaped": lambda x: layers.Conv1D(6, 3)(layers.Reshape((-1, 16))(x)),
    "reshaped with an open end": lambda x: layers.Conv1D(6, 3)(layers.Reshape((256, -1))(x)),
    "places to channels": lambda x: layers.Reshape((8, 8, 64))(x),
    "reshaped at two widths": lambda x: reshaped_at_two_widths(x),
    "permuted places": lambda x: layers.Permute((2, 1, 3))(x),
    "squeeze and excite": gate,
    "a gate of places": spatial_gate,
    "a sum": lambda x: layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(16, 1)(x))]),
    "a difference, a mean": lambda x: layers.Average()([layers.Subtract()([x, layers.Conv2D(16, 1)(x)]), x]),
    "extremes": lambda x: layers.Minimum()([x, layers.Maximum()([x, layers.Conv2D(16, 1)(x)])]),
    "a concatenation": lambda x: layers.Concatenate()([x, layers.Conv2D(8, 1)(x), x]),
    "a concatenation of places": lambda x: layers.Concatenate(axis=1)([x, layers.Conv2D(16, 1)(x)]),
    "a sum with a concatenation": lambda x: layers.Add()(
        [layers.Conv2D(24, 1)(x), layers.Concatenate()([x, layers.Conv2D(8, 1)(x)])]
    ),
    "operators": lambda x: (2.0 * x - 1.0) / 3.0 + ops.relu6(x) * ops.hard_sigmoid(x),
    "dropout of whole pictures": lambda x: layers.Dropout(0.5, noise_shape=(None, 1, 1, 1))(x),
    "dropout of whole channels": lambda x: layers.Dropout(0.5, noise_shape=(None, 1, 1, None))(x),
    "a mean over places": lambda x: x * ops.mean(x, axis=(1, 2), keepdims=True),
    "operations": lambda x: ops.concatenate([ops.max(x, axis=1, keepdims=True), ops.silu(x)], axis=1),
}  # fmt: skip


@pytest.mark.parametrize("name", GO)
def test_channels_go(name, without):
    assert without(between(GO[name])).get_layer("a").filters == 8


class Own(layers.Layer):
    """Turns the order of channels round."""

    def call(self, x):
        return ops.flip(x, -1)


@keras.saving.register_keras_serializable("test")
class Dropout(layers.Layer):
    """Has the name of a layer that is known."""

    def call(self, x):
        return ops.roll(x, 1, -1)


@keras.saving.register_keras_serializable("test")
def turned(x):
    return ops.flip(x, -1)


STAY = {
    "layer norm": lambda x: layers.LayerNormalization()(x),
    "group norm": lambda x: layers.GroupNormalization(4)(x),
    "norm over rows": lambda x: layers.BatchNormalization(axis=1)(x),
    "softmax": lambda x: layers.Softmax()(x),
    "softmax inside": lambda x: layers.Activation("softmax")(x),
    "grouped": lambda x: layers.Conv2D(12, 3, groups=2)(x),
    "attention": lambda x: layers.MultiHeadAttention(2, 4)(*[layers.Reshape((256, 16))(x)] * 2),
    "rescaling by channel": lambda x: layers.Rescaling(np.linspace(1, 2, 16).tolist())(x),
    "a constant by channel": lambda x: x * np.linspace(1, 2, 16).astype("float32"),
    "a constant in a row": lambda x: ops.concatenate([x, np.ones((2, 16, 16, 4), "float32")], axis=-1),
    "a slice": lambda x: x[..., :12],
    "channels to places": lambda x: layers.Permute((3, 1, 2))(x),
    "a mean over channels": lambda x: x - ops.mean(x, axis=-1, keepdims=True),
    "a mean over all": lambda x: x - ops.mean(x),
    "ranks that differ": lambda x: layers.Multiply()([x, layers.GlobalAveragePooling2D()(x)]),
    "dropout with a shape": lambda x: layers.Dropout(0.5, noise_shape=(None, 1, 1, 16))(x),
    "a layer of your own": lambda x: Own()(x),
    "a layer of your own under a known name": lambda x: Dropout()(x),
    "a function of your own": lambda x: layers.Activation(turned)(x),
}  # fmt: skip


@pytest.mark.parametrize("name", STAY)
def test_channels_stay(name, without):
    assert without(between(STAY[name])).get_layer("a").filters == 16


def test_a_convolution_with_a_softmax_inside_keeps_what_it_makes(without):
    small = without(between(lambda x: layers.Conv2D(12, 1, activation="softmax", name="c")(x)))
    assert (small.get_layer("a").filters, small.get_layer("c").filters) == (8, 12)


def test_a_quantised_layer_stays(without):
    model = between(lambda x: layers.Dense(12, name="c")(x))
    model.get_layer("c").quantize("int8")
    assert without(model).get_layer("a").filters == 16
