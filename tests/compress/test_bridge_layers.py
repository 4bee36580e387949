"""Every layer of keras.layers crosses with equal outputs, there and back, or is refused by name."""

import inspect
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from keras import layers, ops

from tests.compress.parity import on, parity
from tfmap.compress import bridge
from tfmap.compress.bridge_layers import TWINS
from tfmap.errors import InputError

ROW, SEQUENCE, PICTURE, VOLUME = (6,), (8, 4), (12, 12, 3), (6, 6, 6, 2)
FILM, PAIRS = (4, 6, 6, 2), (3, 8, 2)


def halves(x):
    """Two tensors from one."""
    return [x, ops.flip(x, 1) * 0.5]


def cell(kind):
    """A cell called by hand, on states of its own."""
    return lambda x: kind(3)(x, [layers.Dense(3)(x), layers.Dense(3)(x)][: 2 if kind is layers.LSTMCell else 1])[0]


def augmented(layer):
    """What augments in training does nothing here, or the same in both."""
    return PICTURE, lambda x: layers.Conv2D(2, 3)(layer(x))


# kind -> (shape of the input, body), ... ; the first is the plain case
CONTRACT = {
    "ActivityRegularization": [(ROW, lambda x: layers.Dense(3)(layers.ActivityRegularization(0.1)(x)))],
    "Activation": [
        (ROW, lambda x: layers.Activation("tanh")(x)),
        (ROW, lambda x: layers.Activation(tf.nn.relu6)(x * 9)),
        (ROW, lambda x: layers.Activation(layers.LeakyReLU(0.4))(x)),
    ],
    "AdaptiveAveragePooling1D": [(SEQUENCE, lambda x: layers.AdaptiveAveragePooling1D(3)(x))],
    "AdaptiveAveragePooling2D": [(PICTURE, lambda x: layers.AdaptiveAveragePooling2D((5, 4))(x))],
    "AdaptiveAveragePooling3D": [(VOLUME, lambda x: layers.AdaptiveAveragePooling3D(4)(x))],
    "AdaptiveMaxPooling1D": [(SEQUENCE, lambda x: layers.AdaptiveMaxPooling1D(3)(x))],
    "AdaptiveMaxPooling2D": [(PICTURE, lambda x: layers.AdaptiveMaxPooling2D((5, 4))(x))],
    "AdaptiveMaxPooling3D": [(VOLUME, lambda x: layers.AdaptiveMaxPooling3D(4)(x))],
    "Add": [(PICTURE, lambda x: layers.Add()(halves(x))), (PICTURE, lambda x: layers.Add()([x, x[:, 0, 0]]))],
    "AdditiveAttention": [(SEQUENCE, lambda x: layers.AdditiveAttention()(halves(x)))],
    "AlphaDropout": [(ROW, lambda x: layers.Dense(3)(layers.AlphaDropout(0.5)(x)))],
    "Attention": [
        (SEQUENCE, lambda x: layers.Attention(use_scale=True)(halves(x))),
        (SEQUENCE, lambda x: layers.Attention(score_mode="concat", dropout=0.5)(halves(x), use_causal_mask=True)),
    ],
    "AugMix": [augmented(layers.AugMix())],
    "AutoContrast": [augmented(layers.AutoContrast())],
    "Average": [(PICTURE, lambda x: layers.Average()(halves(x)))],
    "AveragePooling1D": [(SEQUENCE, lambda x: layers.AveragePooling1D(3, 2, "same")(x))],
    "AveragePooling2D": [
        (PICTURE, lambda x: layers.AveragePooling2D(3, 2, "same")(x)),
        (PICTURE, lambda x: layers.AveragePooling2D((2, 3), data_format="channels_first")(x)),
    ],
    "AveragePooling3D": [(VOLUME, lambda x: layers.AveragePooling3D(3, 2, "same")(x))],
    "BatchNormalization": [
        (PICTURE, lambda x: layers.BatchNormalization()(x / 99)),
        (ROW, lambda x: layers.BatchNormalization(scale=False)(x)),
        (ROW, lambda x: layers.BatchNormalization(center=False, epsilon=1e-2, momentum=0.5)(x)),
        (PICTURE, lambda x: layers.BatchNormalization(axis=3, synchronized=True)(x)),
        (PICTURE, lambda x: layers.BatchNormalization(axis=1)(x)),
        (PICTURE, lambda x: layers.BatchNormalization(renorm=True)(x)),
        (PICTURE, lambda x: layers.BatchNormalization(epsilon=1e-9)(layers.Conv2D(3, 3)(x * 1e-4))),
        (VOLUME, lambda x: layers.BatchNormalization(epsilon=1e-9)(x)),
    ],
    "Bidirectional": [
        (SEQUENCE, lambda x: layers.Bidirectional(layers.LSTM(3))(x)),
        (SEQUENCE, lambda x: layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode="ave")(x)),
    ],
    "ContrastLimitedAdaptiveHistogramEqualization": [
        augmented(layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2)))
    ],
    "CategoryEncoding": [(ROW, lambda x: layers.CategoryEncoding(4)(ops.cast(ops.abs(x), "int32")))],
    "CenterCrop": [
        (PICTURE, lambda x: layers.CenterCrop(7, 6)(x)),
        (PICTURE, lambda x: layers.CenterCrop(15, 9)(x)),
    ],
    "Concatenate": [
        (PICTURE, lambda x: layers.Concatenate()(halves(x))),
        (PICTURE, lambda x: layers.Concatenate(axis=1)(halves(x))),
    ],
    "Conv1D": [
        (SEQUENCE, lambda x: layers.Conv1D(3, 3, padding="causal", dilation_rate=2, activation="relu")(x)),
        (SEQUENCE, lambda x: layers.Conv1D(3, 3, strides=2, padding="same")(x)),
    ],
    "Conv1DTranspose": [(SEQUENCE, lambda x: layers.Conv1DTranspose(3, 4, 2, "same", output_padding=1)(x))],
    "Conv2D": [
        (PICTURE, lambda x: layers.Conv2D(4, 3, strides=2, padding="same")(x)),
        (PICTURE, lambda x: layers.Conv2D(4, (2, 3), dilation_rate=2, use_bias=False)(x)),
        (PICTURE, lambda x: layers.Conv2D(6, 3, groups=3)(x)),
        (PICTURE, lambda x: layers.Conv2D(4, 3, activation=keras.activations.leaky_relu)(x)),
        (PICTURE, lambda x: layers.Conv2D(4, 3, activation=layers.LeakyReLU(0.4))(x)),
        (PICTURE, lambda x: layers.Conv2D(4, 3, activation=tf.nn.relu6)(x / 99)),
    ],
    "Conv2DTranspose": [
        (PICTURE, lambda x: layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x)),
        (PICTURE, lambda x: layers.Conv2DTranspose(4, 4, strides=2, padding="same", output_padding=1)(x)),
        (PICTURE, lambda x: layers.Conv2DTranspose(4, 3, strides=3, padding="valid", output_padding=2)(x)),
        (PICTURE, lambda x: layers.Conv2DTranspose(4, 2, strides=3, padding="valid")(x)),
        (PICTURE, lambda x: layers.Conv2DTranspose(4, 3, dilation_rate=2, padding="same")(x)),
    ],
    "Conv3D": [(VOLUME, lambda x: layers.Conv3D(3, 3, 2, "same", activation="relu")(x))],
    "Conv3DTranspose": [(VOLUME, lambda x: layers.Conv3DTranspose(3, 3, 2, "same", output_padding=1)(x))],
    "ConvLSTM1D": [(PAIRS, lambda x: layers.ConvLSTM1D(2, 3)(x))],
    "ConvLSTM2D": [(FILM, lambda x: layers.ConvLSTM2D(2, 3, return_sequences=True)(x))],
    "ConvLSTM3D": [((3, 4, 4, 4, 1), lambda x: layers.ConvLSTM3D(2, 3)(x))],
    "Cropping1D": [(SEQUENCE, lambda x: layers.Cropping1D((1, 2))(x))],
    "Cropping2D": [
        (PICTURE, lambda x: layers.Cropping2D(((1, 2), (3, 0)))(x)),
        (PICTURE, lambda x: layers.Cropping2D(1, data_format="channels_first")(x)),
    ],
    "Cropping3D": [(VOLUME, lambda x: layers.Cropping3D(((1, 2), (1, 0), (0, 2)))(x))],
    "CutMix": [augmented(layers.CutMix())],
    "Dense": [
        (ROW, lambda x: layers.Dense(4, "relu")(x)),
        (PICTURE, lambda x: layers.Dense(4, "softmax", use_bias=False)(x)),
        (ROW, lambda x: layers.Dense(4, "gelu")(x)),
    ],
    "DepthwiseConv1D": [(SEQUENCE, lambda x: layers.DepthwiseConv1D(3, depth_multiplier=2)(x))],
    "DepthwiseConv2D": [
        (PICTURE, lambda x: layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2)(x)),
        (PICTURE, lambda x: layers.DepthwiseConv2D((2, 3), dilation_rate=2, activation="relu6")(x)),
    ],
    "Discretization": [(ROW, lambda x: layers.Discretization([-1.0, 0.0, 1.0])(x))],
    "Dot": [
        (SEQUENCE, lambda x: layers.Dot(axes=(1, 1))(halves(x))),
        (SEQUENCE, lambda x: layers.Dot(axes=2, normalize=True)(halves(x))),
    ],
    "Dropout": [(ROW, lambda x: layers.Dense(3)(layers.Dropout(0.5)(x)))],
    "ELU": [(ROW, lambda x: layers.ELU(0.4)(x))],
    "EinsumDense": [(SEQUENCE, lambda x: layers.EinsumDense("abc,cd->abd", (None, 5), "relu", bias_axes="d")(x))],
    "Embedding": [(ROW, lambda x: layers.Embedding(3, 4)(ops.cast(ops.abs(x), "int32")))],
    "Equalization": [augmented(layers.Equalization())],
    "Flatten": [
        (PICTURE, lambda x: layers.Flatten()(x)),
        (PICTURE, lambda x: layers.Flatten(data_format="channels_first")(x)),
    ],
    "GRU": [
        (SEQUENCE, lambda x: layers.GRU(3)(x)),
        (SEQUENCE, lambda x: layers.GRU(3, reset_after=False, go_backwards=True)(x)),
    ],
    "GRUCell": [(ROW, cell(layers.GRUCell))],
    "GaussianDropout": [(ROW, lambda x: layers.Dense(3)(layers.GaussianDropout(0.5)(x)))],
    "GaussianNoise": [(ROW, lambda x: layers.Dense(3)(layers.GaussianNoise(0.5)(x)))],
    "GlobalAveragePooling1D": [(SEQUENCE, lambda x: layers.GlobalAveragePooling1D()(x))],
    "GlobalAveragePooling2D": [
        (PICTURE, lambda x: layers.GlobalAveragePooling2D(keepdims=True)(x)),
        (PICTURE, lambda x: layers.GlobalAveragePooling2D(data_format="channels_first")(x)),
    ],
    "GlobalAveragePooling3D": [(VOLUME, lambda x: layers.GlobalAveragePooling3D()(x))],
    "GlobalMaxPooling1D": [(SEQUENCE, lambda x: layers.GlobalMaxPooling1D()(x))],
    "GlobalMaxPooling2D": [(PICTURE, lambda x: layers.GlobalMaxPooling2D(keepdims=True)(x))],
    "GlobalMaxPooling3D": [(VOLUME, lambda x: layers.GlobalMaxPooling3D()(x))],
    "GroupNormalization": [
        (PICTURE, lambda x: layers.GroupNormalization(3)(x)),
        (SEQUENCE, lambda x: layers.GroupNormalization(-1, axis=1, scale=False)(x)),
    ],
    "GroupedQueryAttention": [(SEQUENCE, lambda x: layers.GroupQueryAttention(3, 4, 2, dropout=0.5)(*halves(x)))],
    "HashedCrossing": [(ROW, lambda x: layers.HashedCrossing(5)(ops.split(ops.cast(x * 9, "int32")[:, :2], 2, 1)))],
    "Hashing": [(ROW, lambda x: layers.Hashing(5)(ops.cast(x * 9, "int32")))],
    "Identity": [(ROW, lambda x: layers.Dense(3)(layers.Identity()(x)))],
    "IntegerLookup": [(ROW, lambda x: layers.IntegerLookup(vocabulary=[0, 1])(ops.cast(x, "int64")))],
    "LSTM": [
        (SEQUENCE, lambda x: layers.LSTM(3)(x)),
        (SEQUENCE, lambda x: layers.LSTM(3, return_sequences=True, return_state=True, unroll=True)(x)),
        (SEQUENCE, lambda x: layers.LSTM(4, use_bias=False)(x, initial_state=[x[:, 0], x[:, 1]])),
        (SEQUENCE, lambda x: layers.LSTM(3, dropout=0.5, recurrent_dropout=0.5, activation="hard_sigmoid")(x)),
    ],
    "LSTMCell": [(ROW, cell(layers.LSTMCell))],
    "LayerNormalization": [
        (PICTURE, lambda x: layers.LayerNormalization()(x)),
        (PICTURE, lambda x: layers.LayerNormalization(axis=[1, 2, 3], epsilon=1e-9)(x)),
        (PICTURE, lambda x: layers.LayerNormalization(axis=[1, 3], center=False)(x)),
    ],
    "LeakyReLU": [(ROW, lambda x: layers.LeakyReLU()(x)), (ROW, lambda x: layers.LeakyReLU(negative_slope=0.01)(x))],
    "Masking": [(SEQUENCE, lambda x: layers.LSTM(3)(layers.Masking()(ops.relu(x - 1.5))))],
    "MaxNumBoundingBoxes": [augmented(layers.MaxNumBoundingBoxes(3))],
    "MaxPooling1D": [(SEQUENCE, lambda x: layers.MaxPooling1D(3, 2, "same")(x))],
    "MaxPooling2D": [
        (PICTURE, lambda x: layers.MaxPooling2D(3, 2, "same")(x)),
        (PICTURE, lambda x: layers.MaxPooling2D((2, 3), data_format="channels_first")(x)),
    ],
    "MaxPooling3D": [(VOLUME, lambda x: layers.MaxPooling3D(3, 2, "same")(x))],
    "Maximum": [(PICTURE, lambda x: layers.Maximum()(halves(x)))],
    "MelSpectrogram": [((2048,), lambda x: layers.MelSpectrogram(256, 128, num_mel_bins=16)(x))],
    "Minimum": [(PICTURE, lambda x: layers.Minimum()(halves(x)))],
    "MixUp": [augmented(layers.MixUp())],
    "MultiHeadAttention": [
        (SEQUENCE, lambda x: layers.MultiHeadAttention(2, 3)(x, x)),
        (SEQUENCE, lambda x: layers.MultiHeadAttention(2, 3, 5, output_shape=7, use_gate=True)(*halves(x))),
        (SEQUENCE, lambda x: layers.MultiHeadAttention(2, 3, sliding_window=2)(x, x, use_causal_mask=True)),
        (SEQUENCE, lambda x: layers.MultiHeadAttention(2, 3, dropout=0.5)(x, x, return_attention_scores=True)),
        (SEQUENCE, lambda x: layers.MultiHeadAttention(2, 3)(x, x, attention_mask=x[:, :, :1] > 0)),
        (PICTURE, lambda x: layers.MultiHeadAttention(2, 3, attention_axes=(1, 2), use_bias=False)(x / 99, x)),
    ],
    "Multiply": [(PICTURE, lambda x: layers.Multiply()(halves(x)))],
    "Normalization": [
        (PICTURE, lambda x: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])(x)),
        (PICTURE, lambda x: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0], invert=True)(x)),
        (PICTURE, lambda x: layers.Normalization(None, mean=3.0, variance=5.0)(x)),
        (PICTURE, lambda x: layers.Normalization(1, np.arange(12.0), 1 + np.arange(12.0))(x)),
        (PICTURE, lambda x: layers.Normalization((1, 3), mean=3.0, variance=5.0, invert=True)(x)),
        (PICTURE, lambda x: layers.Normalization()(x)),
    ],
    "PReLU": [(ROW, lambda x: layers.PReLU()(x)), (PICTURE, lambda x: layers.PReLU(shared_axes=[1, 2])(x - 99))],
    "Permute": [(PICTURE, lambda x: layers.Permute((3, 1, 2))(x))],
    "Pipeline": [augmented(layers.Pipeline([layers.Rescaling(1 / 9), layers.RandomFlip()]))],
    "RMSNormalization": [(PICTURE, lambda x: layers.RMSNormalization()(x))],
    "RNN": [
        (SEQUENCE, lambda x: layers.RNN(layers.GRUCell(3), return_sequences=True)(x)),
        (SEQUENCE, lambda x: layers.RNN([layers.LSTMCell(3), layers.LSTMCell(2)])(x)),
    ],
    "RandAugment": [augmented(layers.RandAugment())],
    "RandomBrightness": [augmented(layers.RandomBrightness(0.4))],
    "RandomColorDegeneration": [augmented(layers.RandomColorDegeneration(0.4))],
    "RandomColorJitter": [augmented(layers.RandomColorJitter((0, 255), 0.4, 0.4, 0.4, 0.4))],
    "RandomContrast": [augmented(layers.RandomContrast(0.4))],
    "RandomCrop": [augmented(layers.RandomCrop(12, 12))],
    "RandomElasticTransform": [augmented(layers.RandomElasticTransform())],
    "RandomErasing": [augmented(layers.RandomErasing())],
    "RandomFlip": [augmented(layers.RandomFlip())],
    "RandomGaussianBlur": [augmented(layers.RandomGaussianBlur())],
    "RandomGrayscale": [augmented(layers.RandomGrayscale())],
    "RandomHue": [augmented(layers.RandomHue(0.4))],
    "RandomInvert": [augmented(layers.RandomInvert())],
    "RandomPerspective": [augmented(layers.RandomPerspective())],
    "RandomPosterization": [augmented(layers.RandomPosterization(4))],
    "RandomRotation": [augmented(layers.RandomRotation(0.4))],
    "RandomSaturation": [augmented(layers.RandomSaturation(0.4))],
    "RandomSharpness": [augmented(layers.RandomSharpness(0.4))],
    "RandomShear": [augmented(layers.RandomShear(0.4, 0.4))],
    "RandomTranslation": [augmented(layers.RandomTranslation(0.4, 0.4))],
    "RandomZoom": [augmented(layers.RandomZoom(0.4))],
    "ReLU": [
        (ROW, lambda x: layers.ReLU()(x)),
        (PICTURE, lambda x: layers.ReLU(max_value=90, negative_slope=0.1, threshold=3)(x - 99)),
    ],
    "RepeatVector": [(ROW, lambda x: layers.RepeatVector(3)(x))],
    "Rescaling": [
        (PICTURE, lambda x: layers.Rescaling(1 / 127.5, offset=-1)(x)),
        (PICTURE, lambda x: layers.Rescaling([0.1, 0.2, 0.3], offset=[1.0, 2.0, 3.0])(x)),
        (PICTURE, lambda x: layers.Rescaling(np.array([0.1, 0.2, 0.3]), offset=np.float32(2))(x)),
        (PICTURE, lambda x: layers.Rescaling(np.arange(36.0).reshape(12, 3))(x)),
    ],
    "Reshape": [
        (PICTURE, lambda x: layers.Reshape((-1, 9))(x)),
        ((None, 12, 3), lambda x: layers.Reshape((None, 36))(x)),
    ],
    "Resizing": [
        (PICTURE, lambda x: layers.Resizing(8, 7)(x)),
        (PICTURE, lambda x: layers.Resizing(5, 5, antialias=True)(x)),
        (PICTURE, lambda x: layers.Resizing(8, 16, pad_to_aspect_ratio=True, fill_value=7.0)(x)),
        (PICTURE, lambda x: layers.Resizing(8, 16, "nearest", crop_to_aspect_ratio=True)(x)),
        (PICTURE, lambda x: layers.Resizing(20, 20, "bicubic")(x)),
    ],
    "ReversibleEmbedding": [
        (ROW, lambda x: layers.ReversibleEmbedding(3, 4)(ops.cast(ops.abs(x), "int32"))),
    ],
    "STFTSpectrogram": [((2048, 1), lambda x: layers.STFTSpectrogram()(x))],
    "SeparableConv1D": [(SEQUENCE, lambda x: layers.SeparableConv1D(3, 3, depth_multiplier=2)(x))],
    "SeparableConv2D": [
        (PICTURE, lambda x: layers.SeparableConv2D(4, 3, 2, "same", depth_multiplier=2, activation="relu")(x)),
        (PICTURE, lambda x: layers.SeparableConv2D(4, 3, activation="hard_swish", use_bias=False)(x)),
    ],
    "SimpleRNN": [(SEQUENCE, lambda x: layers.SimpleRNN(3, "relu", return_sequences=True)(x))],
    "SimpleRNNCell": [(ROW, cell(layers.SimpleRNNCell))],
    "Softmax": [
        (ROW, lambda x: layers.Softmax()(x)),
        (SEQUENCE, lambda x: layers.Softmax(axis=[1, 2])(x)),
        (SEQUENCE, lambda x: layers.Softmax()(x, x > 0)),
        (SEQUENCE, lambda x: layers.Softmax()(x, ops.sigmoid(x))),
    ],
    "Solarization": [augmented(layers.Solarization())],
    "SpatialDropout1D": [(SEQUENCE, lambda x: layers.Dense(3)(layers.SpatialDropout1D(0.5)(x)))],
    "SpatialDropout2D": [(PICTURE, lambda x: layers.Dense(3)(layers.SpatialDropout2D(0.5)(x)))],
    "SpatialDropout3D": [(VOLUME, lambda x: layers.Dense(3)(layers.SpatialDropout3D(0.5)(x)))],
    "SpectralNormalization": [(PICTURE, lambda x: layers.SpectralNormalization(layers.Conv2D(4, 3))(x))],
    "StackedRNNCells": [
        (SEQUENCE, lambda x: layers.RNN(layers.StackedRNNCells([layers.GRUCell(3), layers.SimpleRNNCell(2)]))(x)),
    ],
    "Subtract": [(PICTURE, lambda x: layers.Subtract()(halves(x)))],
    "TimeDistributed": [
        (FILM, lambda x: layers.TimeDistributed(layers.Conv2D(3, 3))(x)),
        (FILM, lambda x: layers.TimeDistributed(on(layers.Dense(3), (6, 6, 2)))(x)),
    ],
    "UnitNormalization": [(SEQUENCE, lambda x: layers.UnitNormalization(axis=[1, 2])(x * 1e-7))],
    "UpSampling1D": [(SEQUENCE, lambda x: layers.UpSampling1D(3)(x))],
    "UpSampling2D": [
        (PICTURE, lambda x: layers.UpSampling2D((2, 3))(x)),
        *((PICTURE, lambda x, way=way: layers.UpSampling2D(2, None, way)(x)) for way in ("bilinear", "lanczos3")),
    ],
    "UpSampling3D": [(VOLUME, lambda x: layers.UpSampling3D(2)(x))],
    "ZeroPadding1D": [(SEQUENCE, lambda x: layers.ZeroPadding1D((1, 2))(x))],
    "ZeroPadding2D": [(PICTURE, lambda x: layers.ZeroPadding2D(((0, 1), (2, 0)))(x))],
    "ZeroPadding3D": [(VOLUME, lambda x: layers.ZeroPadding3D(((0, 1), (2, 0), (1, 1)))(x))],
}  # fmt: skip
# Words: their outputs have no slope, but they cross.
WORDS = {
    "StringLookup": lambda x: layers.StringLookup(vocabulary=["dog", "cat"])(x),
    "TextVectorization": lambda x: layers.TextVectorization(vocabulary=["dog", "cat"], output_sequence_length=2)(x),
}
# What runs the code of another framework. Neither Flax nor PyTorch is a dependency, so theirs cannot even be made.
FOREIGN = ("JaxLayer", "TFSMLayer", "FlaxLayer", "TorchModuleWrapper")
REFUSED = ("Lambda", *FOREIGN)


def kinds():
    """The layers of Keras 3 that can stand in a model, each under its own name."""
    found = {kind.__name__ for kind in vars(layers).values() if inspect.isclass(kind) and issubclass(kind, keras.Layer)}
    return found - {"Layer", "Wrapper", "InputLayer"}


def test_no_layer_is_forgotten():
    assert kinds() == {*CONTRACT, *WORDS, *REFUSED}
    assert set(TWINS) <= set(CONTRACT)


CASES = [f"{kind} {number}" for kind, cases in CONTRACT.items() for number in range(len(cases))]


@pytest.mark.parametrize("case", CASES)
def test_every_layer_crosses(case):
    kind, number = case.split()
    shape, body = CONTRACT[kind][int(number)]
    keras.utils.set_random_seed(5)
    try:
        twin = parity(on(body, shape))
    except tf.errors.InvalidArgumentError as error:  # raised by Keras' own layer, before anything is compared
        if "Current CPU implementations do not yet support" not in str(error):
            raise
        pytest.skip("TensorFlow has no kernel for this layer on a processor for which it leaves oneDNN off")
    if kind in TWINS and number == "0":
        assert any(type(layer) is getattr(tf_keras.layers, kind) for layer in twin.layers)


@pytest.mark.parametrize("kind", WORDS)
def test_words_cross(kind):
    model = on(WORDS[kind], (1,) if kind == "TextVectorization" else (3,), "string")
    words = np.array([["cat", "fish", "dog"], ["dog", "dog", "cat"]])[:, : model.input_shape[-1]]
    given = tf.constant(words)
    np.testing.assert_array_equal(bridge.to_tf_keras(model)(given), model(given))


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
@pytest.mark.parametrize(
    "body",
    [
        lambda x: layers.GlobalAveragePooling2D()(x),
        lambda x: layers.AveragePooling2D(2)(ops.cast(x, "float32")),
        lambda x: layers.Conv2D(2, 3)(layers.RandomFlip()(x)),
        lambda x: layers.Conv2D(2, 3)(layers.Rescaling(1 / 127.5, offset=-1)(x)),
        lambda x: layers.Dense(2)(layers.Flatten()(x)),
        lambda x: layers.Add()([layers.Dense(3)(x), x]),
        lambda x: layers.Concatenate()([layers.Dense(3)(x), x]),
        lambda x: layers.Resizing(5, 5)(x),
    ],
)
def test_integers_mean_the_same(dtype, body):
    parity(on(body, (8, 8, 3), dtype))


MASKED = {
    "to an LSTM": lambda x: layers.LSTM(3)(layers.Embedding(3, 4, mask_zero=True)(x)),
    "through a dense layer": lambda x: layers.GRU(3)(layers.Dense(4)(layers.Embedding(3, 4, mask_zero=True)(x))),
    "through a convolution": lambda x: layers.GlobalAveragePooling1D()(
        layers.Conv1D(3, 1)(layers.Embedding(3, 4, mask_zero=True)(x))
    ),
    "to attention": lambda x: layers.MultiHeadAttention(2, 3)(*[layers.Embedding(3, 4, mask_zero=True)(x)] * 2),
    "through a sum": lambda x: layers.LSTM(2)(layers.Add()([layers.Embedding(3, 4, mask_zero=True)(x)] * 2)),
    "lost in an operator": lambda x: layers.LSTM(3)(layers.Embedding(3, 4, mask_zero=True)(x) * 2),
    "given by hand": lambda x: layers.LSTM(3)(layers.Embedding(3, 4)(x), mask=ops.not_equal(x, 1)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Layer .conv1d.* does not support masking")
@pytest.mark.parametrize("where", MASKED)
def test_masks_reach_the_same_layers(where):
    parity(on(MASKED[where], (7,), "int32"))


@pytest.mark.filterwarnings("ignore:You passed .rms_scaling")
@pytest.mark.filterwarnings("ignore:Exception encountered when calling LayerNormalization")
def test_a_layer_normalisation_that_scales_by_the_variance():
    model = on(lambda x: layers.LayerNormalization(rms_scaling=True, center=False)(x), SEQUENCE)
    given = np.random.default_rng(0).normal(size=(2, *SEQUENCE)).astype("float32")
    np.testing.assert_allclose(bridge.to_tf_keras(model)(given), model(given), rtol=1e-5)


def test_an_adapted_normalisation_stays_adapted_on_its_way_home():
    norm = layers.Normalization()
    norm.adapt(np.random.default_rng(0).uniform(0, 255, (4, *PICTURE)).astype("float32"))
    parity(on(lambda x: layers.Conv2D(2, 3)(norm(x)), PICTURE))


def test_a_reversed_embedding_shares_its_weight():
    table = layers.ReversibleEmbedding(3, 4)
    with pytest.raises(InputError, match=r"\(ReversibleEmbedding\).*called in two ways, with different"):
        bridge.to_tf_keras(on(lambda x: table(table(x), reverse=True), (5,), "int32"))


def lora():
    dense = layers.Dense(3, name="adapted")
    model = on(dense, ROW)
    dense.enable_lora(2)
    return model


def int8():
    model = on(layers.Dense(3, name="whole"), ROW)
    model.layers[1].quantize("int8")
    return model


def saved_model(folder):
    on(layers.Dense(3), ROW).export(folder, verbose=False)
    return on(layers.TFSMLayer(folder, name="foreign"), ROW)


def inside():
    return on(lambda x: layers.TimeDistributed(layers.Lambda(lambda t: t, name="hidden"))(x), SEQUENCE)


def adapted():
    lookup = layers.StringLookup(name="words")
    lookup.adapt(np.array(["cat", "dog"]))
    return on(lambda x: lookup(x), (3,), "string")


CANNOT = {
    "what it has learned by adapt() is lost in a copy": (adapted, "'words' (StringLookup)"),
    "it has a LoRA adapter": (lora, "'adapted' (Dense)"),
    "its weights are quantised already (int8)": (int8, "'whole' (Dense)"),
    "it is a Lambda": (inside, "'hidden' (Lambda)"),
}


@pytest.mark.parametrize("why", CANNOT)
def test_what_is_refused_is_named(why):
    build, where = CANNOT[why]
    with pytest.raises(InputError) as caught:
        bridge.to_tf_keras(build())
    assert why in str(caught.value)
    assert where in str(caught.value)
    assert "bridge.register(" in str(caught.value)


JAX = """
import keras
from tfmap.compress import bridge
image = keras.Input((4,))
layer = keras.layers.JaxLayer(lambda params, inputs: inputs * 2, params={}, name="foreign")
bridge.to_tf_keras(keras.Model(image, layer(image)))
"""


@pytest.mark.slow
def test_a_jax_layer_is_refused():
    """In a process of its own: where JAX has been imported, other tests can no longer fork."""
    done = subprocess.run([sys.executable, "-c", JAX], capture_output=True, text=True, check=False)
    assert "'foreign' (JaxLayer)" in done.stderr
    assert "it runs the code of another framework" in done.stderr


def test_a_saved_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"'foreign' \(TFSMLayer\).*the code of another framework"):
        bridge.to_tf_keras(saved_model(str(tmp_path / "saved")))
