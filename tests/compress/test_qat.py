from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from keras import layers

from tests.compress.parity import shake
from tfmap import flatbuffer
from tfmap.compress import bridge, qat
from tfmap.compress.finetune import FineTuning
from tfmap.compress.prune import sparsities
from tfmap.compress.quantized_model import QuantizedModel
from tfmap.compress.ties import scale_axes
from tfmap.errors import InputError
from tfmap.export import convert, correction
from tfmap.litert import LiteModel
from tfmap.verify import integers

HOW = FineTuning(epochs=2, learning_rate=0.0003, verbose=False)


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same weights, whatever ran before it."""
    keras.utils.set_random_seed(0)


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


def test_the_first_kernel_carries_the_factor_of_the_normalisation(file):
    names = [op.name for op in flatbuffer.read(file).ops]
    assert names[:3] == ["QUANTIZE", "ADD", "CONV_2D"]
    assert names.count("MUL") == 0
    assert names.count("DEPTHWISE_CONV_2D") == 2


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


GENTLE = FineTuning(epochs=1, learning_rate=1e-5, verbose=False)


def coloured(size, count=8):
    """uint8 (count, size, size, 3): blocks of colours, each picture around a colour of its own."""
    rng = np.random.default_rng(0)
    block = -(-size // 4)
    blocks = np.kron(rng.uniform(-100, 100, (count, 4, 4, 3)), np.ones((1, block, block, 1)))[:, :size, :size]
    noise = rng.normal(0, 10, (count, size, size, 3))
    return np.clip(rng.uniform(50, 205, (count, 1, 1, 3)) + blocks + noise, 0, 255).astype("uint8")


class Pictures:
    """Two batches of eight pictures of four classes."""

    steps = 2

    def __init__(self, size):
        self.images = coloured(size)

    def train(self, epoch, step, epochs):
        batch = {"image": self.images, "label": np.arange(8, dtype="int32") % 4, "weight": np.ones(8, "float32")}
        return tf.data.Dataset.from_tensors(batch).repeat()

    def val(self):
        return None


def lively(model, images):
    """Give a classifier weights as after a training, norms that know the pictures, and answers that differ.

    With random weights the answers are the same to every picture, and any file agrees with that.
    """
    images, momenta = images.astype("float32"), {}
    for layer in shake(model)._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            momenta[layer], layer.momentum = layer.momentum, 0.0
    model(images, training=True)
    for layer, momentum in momenta.items():
        layer.momentum = momentum
    last = next(layer for layer in reversed(model.layers) if getattr(layer, "kernel", None) is not None)
    activation, last.activation = last.activation, keras.activations.linear
    logits = keras.Model(model.inputs, last.output).predict(images, verbose=0)
    last.activation = activation
    factor = 2 / logits.std(axis=0)  # of each class: one that says the same to all pictures would hide an error
    last.kernel.assign(np.asarray(last.kernel) * factor)
    last.bias.assign(factor * (np.asarray(last.bias) - logits.mean(axis=0)))
    return model


def decibels(received, expected):
    """How far the differences between pictures stand above the error: at a constant answer 0 or less."""
    signal, noise = np.var(expected, axis=0).mean(), np.mean((received - expected) ** 2)
    return 10 * np.log10(signal / max(noise, 1e-12))


def trained(model, size, prepare=None):
    """(file, its answers, those of the fake-quantised model, those of the float model before), after two steps."""
    feed = Pictures(size)
    plain = (prepare or lively)(model, feed.images).predict(feed.images.astype("float32"), verbose=0)
    quantized = qat.train(model, feed, how=GENTLE)
    file = quantized.to_tflite()
    return file, LiteModel(file).predict(feed.images), quantized.predict(feed.images), plain


def agrees(model, size, *, file_db=20, float_db=10, prepare=None):
    """Its file computes in integers and answers as the fake-quantised model, which answers as the float one did."""
    file, received, expected, plain = trained(model, size, prepare)
    ops = computes_in_integers(file)
    assert np.ptp(expected, axis=0).min() > 0.2
    assert decibels(received, expected) > file_db
    assert decibels(expected, plain) > float_db
    return ops


def computes_in_integers(file):
    """How often it has which op, once the strict check has passed."""
    graph = flatbuffer.read(file)
    assert graph.stored == {"int8"}
    assert integers.findings(graph) == []
    return Counter(op.name for op in graph.ops)


def test_a_constant_answer_does_not_agree():
    expected = np.linspace(0, 1, 8)[:, None]
    assert decibels(np.full((8, 1), expected.mean()), expected) == pytest.approx(0)
    assert decibels(expected + 0.01, expected) > 25


@pytest.mark.slow
def test_layers_that_tfmot_does_not_know(residual):
    agrees(keras.models.clone_model(residual), 32)


def test_a_concatenation_keeps_the_order_of_its_inputs():
    """tfmot moves a convolution with its norm to the end of its list of layers, and would take the pooling first."""
    image = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    learnt = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2, padding="same")(x)))
    x = layers.Concatenate()([learnt, layers.MaxPooling2D(2)(x)])
    agrees(keras.Model(image, layers.Dense(4, "softmax")(layers.Flatten()(x))), 16)


@pytest.mark.slow
def test_activations_and_norms_that_tfmot_does_not_know():
    image = keras.Input((16, 16, 3))
    x = layers.Normalization(mean=[9.0, 8, 7], variance=[99.0, 88, 77])(image)
    x = layers.Conv2D(4, 3)(layers.ReLU()(layers.BatchNormalization(name="lonely")(x)))
    x = layers.Activation("swish")(layers.BatchNormalization(name="folded")(x))
    x = layers.Conv2D(4, 3, activation="leaky_relu")(layers.Conv2D(4, 3, activation="relu6")(x))
    x = layers.Activation("tanh")(layers.Conv2D(4, 3, activation="gelu")(x))
    model = keras.Model(image, layers.Dense(4, "softmax")(layers.GlobalMaxPooling2D()(x)))
    assert qat.lonely_norms(bridge.to_tf_keras(model)) == {"lonely"}
    agrees(model, 16)


@pytest.mark.slow
@pytest.mark.parametrize(("offset", "extra"), [([-2.1, -2.0, -1.8], "ADD"), (0.0, "MUL")])
def test_kernels_carry_a_factor_for_each_channel(offset, extra):
    image = keras.Input((16, 16, 3))
    x = layers.ZeroPadding2D(1)(layers.Rescaling([0.017, 0.0175, 0.0174], offset)(image))
    x = layers.Concatenate()([layers.Conv2D(8, 3, activation="relu")(x), layers.DepthwiseConv2D(3)(x)])
    ops = agrees(keras.Model(image, layers.Dense(4, "softmax")(layers.GlobalAveragePooling2D()(x))), 16)
    assert (ops[extra], ops["DEPTHWISE_CONV_2D"], ops["CONV_2D"]) == (int(extra == "ADD"), 1, 1)


@pytest.mark.slow
def test_a_pooling_reads_one_depthwise_convolution():
    image = keras.Input((16, 16, 3))
    x = layers.MaxPooling2D()(layers.Rescaling(1 / 127.5, offset=-1)(image))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(x))
    ops = agrees(keras.Model(image, layers.Dense(4, "softmax")(x)), 16)
    assert (ops["ADD"], ops["DEPTHWISE_CONV_2D"]) == (0, 1)


@pytest.mark.slow
def test_a_layer_of_several_outputs_stays_float():
    image = keras.Input((8, 8, 3))
    x = layers.Reshape((8, 24))(layers.Rescaling(1 / 255)(image))
    sequence, state = layers.GRU(6, return_sequences=True, return_state=True, unroll=True)(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(sequence), state])
    model = keras.Model(image, layers.Dense(4, "softmax")(layers.Dense(8, "relu", name="wide")(x)))
    file, received, expected, _ = trained(model, 8)
    assert floats(file) != []
    wide = {d["dtype"] for d in LiteModel(file)._interpreter.get_tensor_details() if "wide/" in d["name"]}
    assert np.int8 in wide
    assert np.ptp(expected, axis=0).min() > 0.2
    assert decibels(received, expected) > 20


@pytest.mark.slow
def test_lonely_norms_of_one_width_are_not_taken_for_one():
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization(name="wide")(layers.Rescaling(1 / 127.5, offset=-1)(image))
    x = layers.BatchNormalization(name="narrow")(layers.MaxPooling2D(2)(layers.ReLU()(x)))
    outputs = layers.Dense(4, "softmax", name="top")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, outputs)
    model.get_layer("wide").gamma.assign([4.0, 2.0, 1.0])
    model.get_layer("narrow").gamma.assign([0.2, 0.5, 3.0])
    model.get_layer("top").kernel.assign(np.random.default_rng(0).uniform(-1, 1, (3, 4)))
    agrees(model, 8)


@pytest.mark.slow
def test_a_norm_behind_an_activation():
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 127.5, offset=-1)(image))
    x = layers.Conv2D(8, 3, activation="relu")(layers.BatchNormalization(name="behind")(x))
    model = keras.Model(image, layers.Dense(4, "softmax")(layers.GlobalAveragePooling2D()(x)))
    assert qat.lonely_norms(bridge.to_tf_keras(model)) == {"behind"}
    agrees(model, 16)


@pytest.mark.slow
def test_norms_of_vectors():
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 127.5, offset=-1)(image))
    x = layers.BatchNormalization(name="pooled")(layers.GlobalAveragePooling2D()(x))
    x = layers.ReLU()(layers.BatchNormalization(name="of_dense")(layers.Dense(8)(x)))
    x = layers.BatchNormalization(name="behind")(layers.Dense(8, activation="relu")(x))
    model = keras.Model(image, layers.Dense(4, "softmax")(x))
    assert qat.lonely_norms(bridge.to_tf_keras(model)) == {"pooled", "of_dense", "behind"}
    agrees(model, 16)


@pytest.mark.slow
def test_a_normalisation_that_reads_no_pixels_has_a_range_of_its_own():
    """As in EfficientNet: 0..1 first. The range of 0..255 would leave it five steps."""
    image = keras.Input((16, 16, 3))
    x = layers.Normalization(mean=[0.5, 0.4, 0.4], variance=[0.05, 0.05, 0.06])(layers.Rescaling(1 / 255)(image))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(x))
    agrees(keras.Model(image, layers.Dense(4, "softmax")(x)), 16)


def shared_tower(norms="shared", relus="shared", convolutions=2):
    """A classifier on maps of 16 and of 8 pixels, which go through the same convolutions."""
    image = keras.Input((32, 32, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(layers.Rescaling(1 / 255)(image))
    maps = [x, layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)]
    for number in range(convolutions):
        kernel = layers.Conv2D(8, 3, padding="same", use_bias=norms == "none", name=f"tower_{number}")
        maps = [kernel(x) for x in maps]
        norm, relu = layers.BatchNormalization(name=f"norm_{number}"), layers.ReLU(name=f"relu_{number}")
        if norms != "none":
            maps = [(norm if norms == "shared" else layers.BatchNormalization())(x) for x in maps]
        maps = [(relu if relus == "shared" else layers.ReLU())(x) for x in maps]
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x) for x in maps])
    return keras.Model(image, layers.Dense(4, "softmax")(x), name="tower")


CARRIERS = {"shared": 2, "apart": 2, "none": 0}


@pytest.mark.slow
@pytest.mark.parametrize("norms", CARRIERS)
def test_a_tower_shared_by_maps_of_two_sizes(norms):
    """The head of a detector. A norm that is shared must not be folded into one kernel once for each map."""
    ops = agrees(shared_tower(norms, "shared", convolutions=1), 32)
    assert ops["DEPTHWISE_CONV_2D"] == CARRIERS[norms]
    assert ops["CONV_2D"] == 2 + 2
    assert ops["RELU"] == ops["ADD"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("relus", ["shared", "apart"])
@pytest.mark.parametrize("norms", CARRIERS)
def test_a_deeper_tower(norms, relus):
    ops = agrees(shared_tower(norms, relus), 32)
    assert ops["DEPTHWISE_CONV_2D"] == 2 * CARRIERS[norms]
    assert ops["CONV_2D"] == 2 + 4
    assert ops["RELU"] == ops["ADD"] == 0


@pytest.mark.slow
def test_shared_weights_learn_and_come_home():
    model = shared_tower(convolutions=1)
    before = lively(model, coloured(32)).get_weights()
    how = FineTuning(epochs=1, learning_rate=1e-3, verbose=False)
    home = qat.train(model, Pictures(32), how=how).model
    pairs = [("tower_0", "kernel"), ("norm_0", "gamma"), ("norm_0", "beta")]
    for layer, weight in pairs:
        learnt, old = (np.asarray(getattr(each.get_layer(layer), weight)) for each in (home, model))
        assert not np.array_equal(learnt, old)
    for statistic in ("moving_mean", "moving_variance"):
        learnt, old = (np.asarray(getattr(each.get_layer("norm_0"), statistic)) for each in (home, model))
        np.testing.assert_array_equal(learnt, old)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


@pytest.mark.slow
def test_a_model_inside_called_at_two_sizes():
    """Its normalisation reads pixels once and half-sized ones the other time."""
    inside = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(inside)
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, use_bias=False)(x))
    body = keras.Model(inside, layers.Activation("relu")(x), name="body")
    image = keras.Input((32, 32, 3))
    maps = [body(image), body(layers.AveragePooling2D(2)(image))]
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x) for x in maps])
    agrees(keras.Model(image, layers.Dense(4, "softmax")(x)), 32)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_nested_model_in_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        image, inside = keras.Input((32, 32, 3)), keras.Input((32, 32, 3))
        x = layers.Conv2D(8, 3, strides=2, use_bias=False)(layers.Rescaling(1 / 127.5, offset=-1)(inside))
        body = keras.Model(inside, layers.ReLU(6.0)(layers.BatchNormalization()(x)), name="body")
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(body(image)))
        model = keras.Model(image, layers.Dense(4, "softmax", dtype="float32")(x))
    finally:
        keras.config.set_dtype_policy("float32")
    agrees(model, 32)


class Labelled:
    """A feed of batches with these labels; the pixels of a picture tell its (last) one."""

    def __init__(self, labels, weights=None):
        self.labels, self.steps, self.weights = [np.array(batch) for batch in labels], len(labels), weights

    def train(self, epoch, step, epochs):
        for labels in self.labels:
            told = labels.reshape(len(labels), -1)[:, -1].astype("uint8")
            image = np.broadcast_to(told[:, None, None, None], (len(labels), 2, 2, 3))
            weight = np.ones(len(labels), "float32") if self.weights is None else np.array(self.weights, "float32")
            yield {"image": image, "label": labels, "weight": weight}


def classes_of(batches):
    return [Counter(np.asarray(batch)[:, 0, 0, 0].astype(int).tolist()) for batch in batches]


def test_calibration_pictures_are_of_every_class_as_evenly_as_the_batches_allow():
    found = qat._pictures(Labelled([[0] * 9 + [1 + n % 2] for n in range(300)]))
    assert {len(batch) for batch in found} == {10}
    assert all(batch.dtype == tf.float32 for batch in found)
    count = sum(classes_of(found), Counter())
    assert sum(count.values()) == 250
    assert max(count.values()) - min(count.values()) <= 3
    assert max(classes_of(found)[0].values()) == 4  # the first ones, which means are compared on, too


def test_a_rare_class_is_there_whole():
    count = sum(classes_of(qat._pictures(Labelled([[0] * 9 + [int(n == 20)] for n in range(100)]))), Counter())
    assert count[1] == 1
    assert count[0] == 249


def test_a_short_epoch_gives_what_it_has():
    count = sum(classes_of(qat._pictures(Labelled([[0, 0, 0, 1]] * 2))), Counter())
    assert count == {0: 6, 1: 2}


def test_several_labels_a_picture_are_a_class_of_their_own():
    found = qat._pictures(Labelled([[[1.0, 0.0]] * 9 + [[1.0, 1.0]]] * 300))
    count = sum(classes_of(found), Counter())
    assert abs(count[0] - count[1]) <= 10


def test_unreadable_pictures_calibrate_nothing():
    count = sum(classes_of(qat._pictures(Labelled([[1, 2, 0, 2]] * 4, [1, 1, 0, 1]))), Counter())
    assert count == {1: 4, 2: 8}


def test_one_large_batch_is_enough():
    (batch,) = qat._pictures(Labelled([list(range(10)) * 40]))
    assert len(batch) == 256
    assert max(classes_of([batch])[0].values()) == 26


def test_what_the_converter_cannot_translate_is_told(classifier):
    image = tf_keras.Input((8, 8, 3))
    odd = tf_keras.Model(image, tf_keras.layers.Lambda(tf.math.erfinv)(image), name="odd")
    text = "^compress: TensorFlow's converter cannot make a .tflite file of odd: 'tf.Erfinv' op .* Leave qat out of the"
    with pytest.raises(InputError, match=text):
        QuantizedModel(odd, classifier).to_tflite(input_type="float32")


def test_a_layer_that_says_nothing_has_a_range_that_fits_its_kernels():
    """XNNPACK refuses a file whose steps differ 256-fold."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    dead = layers.Conv2D(8, 3, padding="same", activation="relu", name="dead")(x)
    x = layers.GlobalAveragePooling2D()(layers.Add()([x, dead]))
    model = keras.Model(image, layers.Dense(4, "softmax")(x))
    lively(model, Pictures(16).images)
    model.get_layer("dead").bias.assign(np.full(8, -1e6))
    feed = Pictures(16)
    quantized = qat.train(model, feed, how=GENTLE)
    assert decibels(LiteModel(quantized.to_tflite()).predict(feed.images), quantized.predict(feed.images)) > 15


@pytest.mark.parametrize("last", ["conv", "dense"])
def test_a_bias_is_kept_where_hardly_anything_is_read(last):
    """A file counts it in steps of the kernel times steps of the input: so small ones that 32 bits would cut it off."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, activation="relu", kernel_initializer=keras.initializers.RandomNormal(stddev=1e-8))(image)
    if last == "conv":
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1, name="last")(x))
    else:
        x = layers.Dense(4, name="last")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Activation("softmax")(x))
    model.get_layer("last").bias.assign([-3.0, 0, 1, 2])
    feed = Pictures(16)
    quantized = qat.train(model, feed, how=GENTLE)
    received = LiteModel(quantized.to_tflite()).predict(feed.images)
    np.testing.assert_allclose(received, model.predict(feed.images.astype("float32"), verbose=0), atol=0.01)


@pytest.mark.slow
def test_an_average_keeps_the_range_of_what_it_reads():
    """As in DenseNet, behind a convolution without activation, and in InceptionV3, beside what reads the same."""
    image = keras.Input((16, 16, 3))
    x = layers.AveragePooling2D(2)(layers.Conv2D(8, 3, padding="same")(image))
    x = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x))))
    pooled = layers.AveragePooling2D(3, 1, padding="same")(x)
    x = layers.Concatenate()(
        [layers.Conv2D(8, 1)(x), layers.Conv2D(8, 1)(pooled), layers.Conv2D(8, 3, padding="same")(x)]
    )
    model = keras.Model(image, layers.Dense(4, "softmax")(layers.GlobalAveragePooling2D()(x)))
    ops = agrees(model, 16)
    assert ops["AVERAGE_POOL_2D"] == 2


class Scale(keras.layers.Layer):
    """A factor per channel, its weight without a name, as ConvNeXt's LayerScale has it: Keras 3 numbers it anew."""

    def build(self, shape):
        self.factors = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factors


def test_weights_of_a_guest_without_a_name_come_home(monkeypatch):
    monkeypatch.setattr("tfmap.compress.bridge_registry._registered", {})
    bridge.register(Scale)
    image = keras.Input((16, 16, 3))
    x = Scale(name="scale")(layers.Conv2D(8, 3, strides=2)(image))
    model = keras.Model(image, layers.Dense(4, "softmax")(layers.GlobalAveragePooling2D()(x)))
    factors = np.linspace(0.5, 2, 8).astype("float32")
    model.get_layer("scale").set_weights([factors])
    quantized = qat.train(model, Pictures(16), how=GENTLE)
    (home,) = quantized.model.get_layer("scale").get_weights()
    np.testing.assert_allclose(home, factors, atol=1e-3)
