"""ai-edge-quantizer as an engine: what the contract of all formats (test_order) does not say."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.export import convert, metadata, quantizer
from tfmap.litert import LiteModel

pytestmark = pytest.mark.slow  # minutes of conversion and training on two cores


def test_int8_takes_raw_bytes_whatever_it_was_calibrated_on(classifier, photos):
    dull = 60 + photos[0][:10] // 4
    model = LiteModel(quantizer.int8(classifier, dull))
    assert model.input["quantization"] == (1.0, 0)
    assert model.outputs[0]["quantization"] == (1 / 256, 0)


def test_ranges_are_those_that_the_converter_takes(classifier, photos):
    def steps(file):
        return {op.outputs[0].name: op.outputs[0].scale[0] for op in flatbuffer.read(file).ops if op.name == "CONV_2D"}

    ours, theirs = steps(quantizer.int8(classifier, photos[0])), steps(convert.int8(classifier, photos[0]))
    assert ours.keys() == theirs.keys()
    assert list(ours.values()) == pytest.approx(list(theirs.values()), rel=0.02)


def test_equal_inputs_give_equal_files(classifier, photos):
    assert quantizer.int4(classifier, photos[0][:8]) == quantizer.int4(classifier, photos[0][:8])


def test_small_kernels_keep_eight_bits(classifier, photos):
    graph = flatbuffer.read(quantizer.int4(classifier, photos[0]))
    kernels = {op.inputs[1].dtype for op in graph.ops if op.name == "DEPTHWISE_CONV_2D"}
    assert kernels == {"int8"}
    first, *rest = [op.inputs[1] for op in graph.ops if op.name in quantizer.FOUR_BIT]
    assert (first.dtype, first.shape[-1]) == ("int8", 3)
    assert {kernel.dtype for kernel in rest} == {"int4"}


def test_four_bits_are_smaller(photos):
    inputs = keras.Input((48, 48, 3))
    x = layers.Conv2D(64, 3, strides=4)(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(256, 3)(x))
    model = keras.Model(inputs, layers.Dense(6, activation="softmax")(x))
    four, eight = (len(make(model, photos[0][:4])) for make in (quantizer.int4, quantizer.int8))
    assert four < 0.56 * eight


def test_an_op_that_would_stay_in_float_is_told(photos):
    inputs = keras.Input((48, 48, 3))
    x = keras.ops.sin(layers.Conv2D(4, 3)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    with pytest.raises(
        InputError, match=r"^export: ai-edge-quantizer leaves ops of this model in float, at .*\. Choose t"
    ):
        quantizer.int8(model, photos[0][:4])


def test_scores_that_are_no_probabilities_have_their_own_range(photos):
    inputs = keras.Input((48, 48, 3))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(inputs))))
    expected = model.predict(photos[0].astype("float32"), verbose=0)
    file = LiteModel(quantizer.int8(model, photos[0]))
    assert np.abs(file.predict(photos[0]) - expected).max() < 4 * file.outputs[0]["quantization"][0]


def test_no_pictures(classifier, photos):
    with pytest.raises(
        InputError, match="^export: integer formats read the ranges of activations off typical pictures"
    ):
        quantizer.int8(classifier, photos[0][:0])


def test_a_file_takes_metadata(photos):
    """The package writes kernels behind the flatbuffer, where metadata are packed too."""
    inputs = keras.Input((48, 48, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(512, 3, strides=4)(inputs))
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Dense(512)(x)))
    for make in (quantizer.int8, quantizer.int4):
        bare = make(model, photos[0][:8])
        file = metadata.attach(bare, metadata.Metadata(labels=("a", "b")))
        np.testing.assert_array_equal(LiteModel(file).raw(photos[0][:8]), LiteModel(bare).raw(photos[0][:8]))
        assert any(tensor.nbytes and tensor.zeros for tensor in flatbuffer.read(bare).tensors)
    assert flatbuffer.read(bare).sparsity() == flatbuffer.read(file).sparsity()
