import keras
import numpy as np
import pytest
from keras import layers

from tfmap.compress import bridge, qat
from tfmap.compress.finetune import FineTuning
from tfmap.compress.prune import sparsities
from tfmap.compress.ties import scale_axes
from tfmap.export import convert, correction
from tfmap.litert import LiteModel

HOW = FineTuning(epochs=2, learning_rate=0.0003, verbose=False)


@pytest.fixture(scope="module")
def quantized(classifier, feed):
    return qat.train(classifier, feed, how=HOW)


@pytest.fixture(scope="module")
def file(quantized):
    return quantized.to_tflite()


def floats(data):
    """Names of the float tensors of a file."""
    details = LiteModel(data)._interpreter.get_tensor_details()
    return [tensor["name"] for tensor in details if tensor["dtype"] == np.float32]


def test_the_file_holds_integers_only_and_takes_a_cameras_bytes(file):
    model = LiteModel(file)
    assert floats(file) == []
    assert model.input["dtype"] == np.uint8
    assert model.input["quantization"] == (1.0, 0)
    assert model.outputs[0]["dtype"] == np.uint8
    np.testing.assert_allclose(model.outputs[0]["quantization"], (1 / 256, 0))
    assert model.input_shape == (1, 48, 48, 3)


def test_the_file_answers_as_the_training_did(file, quantized, photos, accuracy):
    received, expected = LiteModel(file).predict(photos[0]), quantized.predict(photos[0])
    assert np.abs(received - expected).max() < 0.05
    assert np.abs(received - expected).mean() < 0.003
    assert accuracy(received) >= 0.95


def test_the_normalisation_is_one_op(file):
    names = [op["op_name"] for op in LiteModel(file)._interpreter._get_ops_details()]
    assert names.count("MUL") == names.count("ADD") == 0
    assert names.count("DEPTHWISE_CONV_2D") == 3


def test_depthwise_kernels_have_a_scale_per_channel(file):
    details = LiteModel(file)._interpreter.get_tensor_details()
    kernels = [d for d in details if tuple(d["shape"][:3]) == (1, 3, 3)]
    assert [len(d["quantization_parameters"]["scales"]) for d in kernels] == [d["shape"][-1] for d in kernels]
    assert len(kernels) == 2


def test_floats_at_both_ends_and_a_batch_where_asked_for(quantized, file, photos):
    other = LiteModel(quantized.to_tflite(input_type="float32", batch_size=4))
    assert other.input_shape == (4, 48, 48, 3)
    assert other.input["dtype"] == other.outputs[0]["dtype"] == np.float32
    np.testing.assert_allclose(other.predict(photos[0][:8]), LiteModel(file).predict(photos[0][:8]), atol=1e-6)


def test_the_keras_3_model_has_the_trained_weights(quantized, classifier, photos, accuracy):
    assert isinstance(quantized.model, keras.Model)
    outputs = quantized.model.predict(photos[0].astype("float32"), verbose=0)
    assert accuracy(outputs) >= 0.95
    assert np.abs(outputs - quantized.predict(photos[0])).mean() < 0.01
    moved = [not np.array_equal(a, b) for a, b in zip(quantized.model.weights, classifier.weights, strict=True)]
    assert all(moved[i] for i, weight in enumerate(classifier.weights) if weight.trainable)


def test_the_keras_3_model_holds_what_the_file_holds(quantized, file):
    """Kernels rounded to int8: what norms have been fitted to."""
    for layer in quantized.model.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is None:
            continue
        axes = (0, 1, 3) if isinstance(layer, layers.DepthwiseConv2D) else scale_axes(len(kernel.shape))
        steps = 127 * np.asarray(kernel) / np.abs(kernel).max(axis=axes, keepdims=True)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_statistics_of_norms_stay_but_for_the_correction(quantized, classifier):
    pairs = [(a, b) for a, b in zip(quantized.model.layers, classifier.layers, strict=True)
             if isinstance(a, layers.BatchNormalization)]  # fmt: skip
    for after, before in pairs:
        np.testing.assert_array_equal(after.moving_variance, before.moving_variance)
        assert not np.array_equal(after.moving_mean, before.moving_mean)
    assert len(pairs) == 4


def test_training_does_not_end_below_its_start(classifier, feed, photos, accuracy):
    rows = []
    how = FineTuning(epochs=1, learning_rate=0.5, verbose=False, watch=lambda *row: rows.append(row))
    quantized = qat.train(classifier, feed, how=how)
    assert [row[1] for row in rows] == [0, 1]
    start, end = (row[2]["val_accuracy"] for row in rows)
    assert end < start - 0.1  # this rate is far too high
    assert accuracy(quantized.predict(photos[0])) == pytest.approx(start, abs=0.001)


def test_the_start_is_as_good_as_post_training_quantisation(classifier, feed, photos):
    """Ranges are calibrated and means corrected before the first step."""
    almost = FineTuning(epochs=1, learning_rate=1e-9, verbose=False)
    images = photos[0].astype("float32")
    wanted = classifier.predict(images, verbose=0)
    found = LiteModel(qat.train(classifier, feed, how=almost).to_tflite()).predict(photos[0])
    plain = LiteModel(convert.int8(correction.corrected(classifier, photos[0]), photos[0])).predict(photos[0])
    assert np.abs(found - wanted).mean() < 1.5 * np.abs(plain - wanted).mean()


def test_the_zeros_of_a_pruned_model_stay_zeros(classifier, feed, photos, accuracy):
    pruned = keras.models.clone_model(classifier)
    pruned.set_weights(classifier.get_weights())
    kernel = max((weight for weight in pruned.weights if weight.name == "kernel"), key=lambda weight: weight.shape[-1])
    values = np.copy(np.asarray(kernel))
    values[np.abs(values) < np.median(np.abs(values))] = 0
    kernel.assign(values)
    quantized = qat.train(pruned, feed, how=HOW)
    name = next(layer.name for layer in pruned.layers if any(weight is kernel for weight in layer.weights))
    after = np.asarray(quantized.model.get_layer(name).kernel)
    np.testing.assert_array_equal(after[values == 0], 0)
    assert 0.5 <= sparsities(quantized.model)[name] < 0.55  # int8 rounds a few more to zero
    assert accuracy(quantized.predict(photos[0])) > 0.9


class Pictures:
    """Two batches of random pictures."""

    steps = 2

    def __init__(self, size):
        self.size = size

    def train(self, epoch, step, epochs):
        import tensorflow as tf

        rng = np.random.default_rng(0)
        picture = rng.integers(0, 256, (4, self.size, self.size, 3)).astype("uint8")
        batch = {"image": picture, "label": np.arange(4, dtype="int32"), "weight": np.ones(4, "float32")}
        return tf.data.Dataset.from_tensors(batch).repeat()

    def val(self):
        return None


def agrees(model, size, tolerance):
    """Its file holds no float tensor and answers as the fake-quantised model."""
    quantized = qat.train(model, Pictures(size), how=FineTuning(epochs=1, learning_rate=1e-5, verbose=False))
    file, pictures = quantized.to_tflite(), next(iter(Pictures(size).train(0, 0, 1)))["image"].numpy()
    assert floats(file) == []
    assert np.abs(LiteModel(file).predict(pictures) - quantized.predict(pictures)).mean() < tolerance


def test_layers_that_tfmot_does_not_know(residual):
    agrees(residual, 32, 0.01)


def test_activations_and_norms_that_tfmot_does_not_know():
    image = keras.Input((16, 16, 3))
    x = layers.Normalization(mean=[9.0, 8, 7], variance=[99.0, 88, 77])(image)
    x = layers.Conv2D(4, 3)(layers.ReLU()(layers.BatchNormalization(name="lonely")(x)))
    x = layers.Activation("swish")(layers.BatchNormalization(name="folded")(x))
    x = layers.Conv2D(4, 3, activation="leaky_relu")(layers.Conv2D(4, 3, activation="relu6")(x))
    x = layers.Activation("tanh")(layers.Conv2D(4, 3, activation="gelu")(x))
    model = keras.Model(image, layers.Dense(4, "softmax")(layers.GlobalMaxPooling2D()(x)))
    assert qat.lonely_norms(bridge.to_tf_keras(model)) == {"lonely"}
    agrees(model, 16, 0.02)


def test_a_layer_of_several_outputs_stays_float():
    image = keras.Input((8, 8, 3))
    x = layers.Reshape((8, 24))(layers.Rescaling(1 / 255)(image))
    sequence, state = layers.GRU(6, return_sequences=True, return_state=True, unroll=True)(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(sequence), state])
    model = keras.Model(image, layers.Dense(4, "softmax")(layers.Dense(8, "relu", name="wide")(x)))
    quantized = qat.train(model, Pictures(8), how=FineTuning(epochs=1, learning_rate=1e-5, verbose=False))
    file, pictures = quantized.to_tflite(), next(iter(Pictures(8).train(0, 0, 1)))["image"].numpy()
    assert floats(file) != []
    wide = {d["dtype"] for d in LiteModel(file)._interpreter.get_tensor_details() if "wide/" in d["name"]}
    assert np.int8 in wide
    assert np.abs(LiteModel(file).predict(pictures) - quantized.predict(pictures)).mean() < 0.005


def test_lonely_norms_of_one_width_are_not_taken_for_one():
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="wide")(layers.Rescaling(1 / 127.5, offset=-1)(image))
    x = layers.BatchNormalization(name="narrow")(layers.MaxPooling2D(2)(layers.ReLU()(x)))
    outputs = layers.Dense(4, "softmax", name="top")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, outputs)
    model.get_layer("wide").gamma.assign([4.0, 2.0, 1.0])
    model.get_layer("narrow").gamma.assign([0.2, 0.5, 3.0])
    model.get_layer("top").kernel.assign(np.random.default_rng(0).uniform(-1, 1, (3, 4)))
    agrees(model, 8, 0.005)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "ResNet50V2"])
def test_networks_of_keras_applications(name):
    keras.utils.set_random_seed(0)
    agrees(getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=4), 32, 0.05)
