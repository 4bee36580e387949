"""One function per format: what goes in, what stands inside, how far the answers are from Keras."""

from __future__ import annotations

import logging

import keras
import numpy as np
import pytest
from keras import layers

from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.export import convert
from tfmap.litert import LiteModel

# Largest difference of a score that the format may cost this model, about twice what was measured.
TOLERANCE = {"float32": 1e-5, "float16": 0.004, "dynamic": 0.06, "int8": 0.2}


@pytest.mark.parametrize("name", TOLERANCE)
def test_every_format_answers_as_keras_does(lite_files, classifier, photos, name):
    expected = classifier.predict(photos[0].astype("float32"), verbose=0)
    found = LiteModel(lite_files[name]).predict(photos[0])
    assert np.abs(found - expected).max() < TOLERANCE[name]
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.95


def test_nothing_is_logged_about_folders_that_are_gone(classifier, caplog):
    caplog.set_level("INFO", logger="tensorflow")
    convert.float32(classifier)
    assert not [record for record in caplog.records if "Assets written" in record.getMessage()]
    assert logging.getLogger("tensorflow").level == logging.INFO


def test_sizes_stand_in_order(lite_files):
    sizes = {name: len(file) for name, file in lite_files.items()}
    assert sizes["dynamic"] < sizes["float32"]
    assert sizes["float16"] < sizes["float32"]


@pytest.mark.parametrize("name", TOLERANCE)
def test_bytes_go_in_and_the_batch_is_one(lite_files, name):
    model = LiteModel(lite_files[name])
    assert model.input["dtype"] == np.uint8
    assert model.input_shape == (1, 48, 48, 3)


def test_int8_is_integers_from_end_to_end(lite_files):
    graph = flatbuffer.read(lite_files["int8"])
    assert graph.float_tensors() == []
    assert {tensor.dtype for tensor in graph.tensors} <= {"int8", "uint8", "int32"}


def test_int8_takes_raw_bytes_whatever_it_was_calibrated_on(classifier, photos):
    dull = 60 + photos[0][:10] // 4  # 60..123: left to itself the converter would choose a scale of about 0.5
    model = LiteModel(convert.int8(classifier, dull))
    assert model.input["quantization"] == (1.0, 0)
    assert model.outputs[0]["quantization"] == (1 / 256, 0)


def test_calibration_leaves_the_pictures_as_they_are(photos):
    pictures = photos[0][:3].copy()
    given = list(convert._calibration(pictures, 2))
    np.testing.assert_array_equal(pictures, photos[0][:3])
    assert [batch[0].shape for batch in given] == [(2, 48, 48, 3)] * 2
    changed = np.argwhere((given[0][0][0] != pictures[0]).any(axis=-1))
    assert {tuple(place) for place in changed} <= {(0, 0), (47, 47)}
    np.testing.assert_array_equal(given[1][0][0], pictures[2])


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_float_input_on_request(classifier, photos, name):
    pictures = [photos[0][:8]] if name == "int8" else []
    model = LiteModel(getattr(convert, name)(classifier, *pictures, input_type="float32"))
    assert model.input["dtype"] == model.outputs[0]["dtype"] == np.float32
    expected = classifier.predict(photos[0][:8].astype("float32"), verbose=0)
    np.testing.assert_allclose(model.predict(photos[0][:8]), expected, atol=0.15)


@pytest.mark.parametrize("policy", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
def test_mixed_precision_is_rebuilt_in_float32(photos, policy):
    def build(dtype):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((48, 48, 3))
        x = layers.Conv2D(8, 3, dtype=dtype)(layers.Rescaling(1 / 255, dtype=dtype)(inputs))
        inner_inputs = keras.Input((46, 46, 8))
        inner = keras.Model(
            inner_inputs, layers.TimeDistributed(layers.Dense(4, dtype=dtype), dtype=dtype)(inner_inputs)
        )
        x = layers.GlobalAveragePooling2D(dtype=dtype)(inner(x))
        return keras.Model(inputs, layers.Dense(3, activation="softmax", dtype="float32")(x))

    mixed, plain = build(policy), build("float32")
    file = convert.float32(mixed)
    expected = plain.predict(photos[0][:4].astype("float32"), verbose=0)
    np.testing.assert_allclose(LiteModel(file).predict(photos[0][:4]), expected, atol=1e-5)
    assert mixed.layers[2].dtype_policy.name == policy  # the caller's model is not touched


def test_a_float32_model_is_not_rebuilt(classifier):
    assert convert.single_precision(classifier) is classifier


def test_int8_needs_pictures(classifier):
    with pytest.raises(
        InputError, match="^export: integer formats read the ranges of activations off typical pictures, re"
    ):
        convert.int8(classifier, np.zeros((0, 48, 48, 3), np.uint8))


def test_an_open_size_is_refused():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(
        InputError, match=r"with fixed sizes, received \(None, None, None, 3\). Build it with an input_"
    ):
        convert.float32(model)


def test_two_inputs_are_refused():
    inputs = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    model = keras.Model(inputs, layers.Add()(inputs))
    with pytest.raises(
        InputError, match="expected a model with one input and one output, received 2 inputs and 1 outp"
    ):
        convert.float32(model)


@pytest.fixture(scope="module")
def wavy():
    """A model with an op, SIN, that has no integer kernel."""
    inputs = keras.Input((48, 48, 3))
    x = keras.ops.sin(layers.Conv2D(4, 3, name="front")(inputs))
    return keras.Model(inputs, layers.Dense(3, name="last")(layers.GlobalAveragePooling2D()(x)))


LEFT = (
    r"^export: converter leaves ops of this model in float, at .*\. Choose the other export.engine, or export.format=f"
)


def test_int8_refuses_an_op_that_would_stay_in_float(wavy, photos):
    with pytest.raises(InputError, match=LEFT):
        convert.int8(wavy, photos[0][:4])


def test_layers_that_are_kept_excuse_no_others(wavy, photos):
    file = convert.float32(wavy, input_type="float32")
    last = [op.outputs[0].name for op in flatbuffer.read(file).ops if op.name == "FULLY_CONNECTED"]
    with pytest.raises(InputError, match=LEFT):
        convert.int8(wavy, photos[0][:4], keep=last)


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_an_op_without_a_kernel_is_told(photos, name):
    inputs = keras.Input((48, 48, 3))
    x = keras.ops.erfinv(layers.Conv2D(2, 3, activation="tanh")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)), name="odd")
    pictures = [photos[0][:4]] if name == "int8" else []
    text = (
        "^export: TensorFlow's converter cannot make a .tflite file of odd: 'tf.Erfinv' op is neither a custom op nor "
        "a flex op. An op without a kernel in LiteRT has to be replaced in the model; if export.format=float32 works, "
        "only this format fails, and another one may do.$"
    )
    with pytest.raises(InputError, match=text):
        getattr(convert, name)(model, *pictures)


def test_a_calibration_that_fails_is_told(classifier, photos, monkeypatch):
    def failing(*_):
        raise RuntimeError("\nNode number 3 (CONV_2D) failed to prepare.\nmore")

    monkeypatch.setattr(convert, "_calibration", failing)
    with pytest.raises(InputError, match=r"file of tiny: Node number 3 \(CONV_2D\) failed to prepare. An op without"):
        convert.int8(classifier, photos[0][:4])
