"""The interpreter's door: loading, batching, quantisation at both ends, timing in turns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.errors import InputError
from tfmap.litert import LiteModel, activations, dequantise, latency_ms, quantise


def test_the_float_file_answers_as_keras_does(lite_files, classifier, photos):
    found = LiteModel(lite_files["float32"]).predict(photos[0])
    np.testing.assert_allclose(found, classifier.predict(photos[0].astype("float32"), verbose=0), atol=1e-5)


def test_int8_is_dequantised(lite_files, photos):
    model = LiteModel(lite_files["int8"])
    raw = model.raw(photos[0])
    assert raw.dtype == np.uint8
    np.testing.assert_array_equal(model.predict(photos[0]), raw.astype(np.float32) / 256)


def test_no_pictures_give_no_rows(lite_files):
    for name, dtype in (("float32", np.float32), ("int8", np.uint8)):
        assert LiteModel(lite_files[name]).raw(np.zeros((0, 48, 48, 3), np.uint8)).dtype == dtype
        assert LiteModel(lite_files[name]).predict(np.zeros((0, 48, 48, 3), np.uint8)).shape == (0, 6)


def test_the_last_batch_is_filled_up_and_cut(classifier, photos):
    from tfmap.export import convert

    model = LiteModel(convert.float32(classifier, batch_size=4))
    assert model.input_shape == (4, 48, 48, 3)
    expected = classifier.predict(photos[0][:6].astype("float32"), verbose=0)
    np.testing.assert_allclose(model.predict(photos[0][:6]), expected, atol=1e-5)


def test_two_threads_answer_alike(lite_files, photos):
    one, two = (LiteModel(lite_files["int8"], threads=n).raw(photos[0]) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_files_are_timed_in_turns(lite_files):
    times = latency_ms({name: LiteModel(lite_files[name]) for name in ("int8", "float32")}, seconds=0.05)
    assert list(times) == ["int8", "float32"]
    assert all(0 < row["median"] <= row["p90"] for row in times.values())


def test_a_path_is_as_good_as_bytes(lite_files, photos, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(lite_files["int8"])
    assert LiteModel(path).name == str(path)
    np.testing.assert_array_equal(LiteModel(path).raw(photos[0][:2]), LiteModel(lite_files["int8"]).raw(photos[0][:2]))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no.tflite does not exist. Expected a .tflite file."):
        LiteModel(tmp_path / "no.tflite")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x1c\0\0\0TFL3" + bytes(100)])
def test_a_file_that_is_no_model(tmp_path, content):
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad.tflite is not a .tflite file that LiteRT can run: "):
        LiteModel(path)


def test_a_cut_file(lite_files):
    with pytest.raises(InputError, match="the model is not a .tflite file that LiteRT can run: "):
        LiteModel(lite_files["int8"][:5000])


def test_a_model_that_takes_no_picture():
    import keras
    import tensorflow as tf

    inputs = keras.Input((4,), batch_size=1)
    dense = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    file = tf.lite.TFLiteConverter.from_keras_model(dense).convert()
    with pytest.raises(InputError, match=r"the model must take one picture \(batch, .*\); it takes \[1, 4\]\."):
        LiteModel(file)


def test_pictures_of_another_size(lite_files):
    with pytest.raises(InputError, match=r"takes pictures of \(48, 48, 3\), received \(32, 32, 3\)\."):
        LiteModel(lite_files["int8"]).predict(np.zeros((1, 32, 32, 3), np.uint8))


@settings(deadline=None)
@given(st.floats(0.001, 10), st.integers(-128, 127), st.lists(st.integers(-128, 127), min_size=1, max_size=20))
def test_quantise_undoes_dequantise(scale, zero, values):
    detail = {"dtype": np.int8, "quantization": (float(np.float32(scale)), zero)}
    values = np.array(values, np.int8)
    np.testing.assert_array_equal(quantise(dequantise(values, detail), detail), values)


def test_quantise_keeps_to_the_range_and_leaves_plain_tensors_alone():
    detail = {"dtype": np.uint8, "quantization": (1.0, 0)}
    np.testing.assert_array_equal(quantise(np.array([-5.0, 0.4, 254.6, 300.0]), detail), [0, 0, 255, 255])
    for dtype in (np.uint8, np.float32):
        plain = {"dtype": dtype, "quantization": (0.0, 0)}
        assert quantise(np.array([7.0]), plain).dtype == dtype
        np.testing.assert_array_equal(dequantise(np.array([7], dtype), plain), np.float32([7]))


def test_the_built_in_kernels_answer_nearly_as_xnnpack_does(lite_files, photos):
    fast, plain = (LiteModel(lite_files["float32"], xnnpack=on).predict(photos[0]) for on in (True, False))
    np.testing.assert_allclose(fast, plain, atol=1e-5)


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_tensors_inside_are_those_that_the_answer_is_made_of(lite_files, photos, name):
    from tfmap import flatbuffer

    graph = flatbuffer.read(lite_files[name])
    softmax = next(op for op in graph.ops if op.name == "SOFTMAX")
    model = LiteModel(lite_files[name], keep=True)
    logits, scores = model.inside(photos[0][:1], [softmax.inputs[0].index, softmax.outputs[0].index])
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(scores, expected, atol=1e-5 if name == "float32" else 1 / 256)
    np.testing.assert_allclose(scores, model.predict(photos[0][:1]), atol=1e-6)


def test_the_arena_holds_the_picture_and_what_is_made_of_it_but_no_weights(lite_files, photos):
    model = LiteModel(lite_files["float32"], xnnpack=False)
    picture, first = 48 * 48 * 3, 4 * 48 * 48 * 3  # the bytes of a photograph, and as floats
    assert picture + first <= model.arena_bytes() < 12 * first
    before = model.predict(photos[0][:2])
    assert model.arena_bytes() == model.arena_bytes()
    np.testing.assert_array_equal(model.predict(photos[0][:2]), before)  # looking at addresses holds nothing


def test_times_come_in_turns(lite_files):
    from tfmap.litert import BLOCK, turns_ms

    times = turns_ms({name: LiteModel(lite_files[name]) for name in ("int8", "float32")}, seconds=0.02)
    assert times["int8"].shape == times["float32"].shape
    assert times["int8"].shape[1] == BLOCK
    assert (times["int8"] > 0).all()


def test_activations_are_what_the_file_computes(lite_files, classifier, photos):
    from tfmap import flatbuffer

    for name, tolerance in (("float32", 1e-5), ("int8", 0.2)):
        output = flatbuffer.read(lite_files[name]).outputs[0].name
        found = [values[output][0] for values in activations(lite_files[name], photos[0][:5], [output, "no tensor"])]
        expected = classifier.predict(photos[0][:5].astype("float32"), verbose=0)
        np.testing.assert_allclose(np.stack(found), expected, atol=tolerance)


def test_activations_of_a_larger_batch_are_filled_up(classifier, photos):
    from tfmap import flatbuffer
    from tfmap.export import convert

    file = convert.float32(classifier, batch_size=4)
    output = flatbuffer.read(file).outputs[0].name
    found = [values[output] for values in activations(file, photos[0][:6], {output})]
    assert [values.shape for values in found] == [(4, 6), (4, 6)]
    np.testing.assert_array_equal(found[1][1], found[1][3])
