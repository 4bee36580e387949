"""The bytes of .tflite files: ours and those that others made."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.lite.python import schema_py_generated as schema

from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.graph import Tensor
from tfmap.litert import LiteModel

REFERENCE = Path(__file__).parent / "data" / "tflite"


def test_a_full_integer_file_of_others():
    graph = flatbuffer.read(REFERENCE / "automl_labeler_model.tflite")
    assert graph.format == "int8"
    assert len(graph.ops) == 66
    assert (graph.inputs[0].dtype, graph.inputs[0].shape) == ("uint8", (1, 224, 224, 3))
    assert graph.float_tensors() == []


def test_a_float_file_of_others():
    graph = flatbuffer.read(REFERENCE / "dilated_conv.tflite")
    assert graph.format == "float32"
    assert {op.name for op in graph.float_ops()} >= {"CONV_2D"}


@pytest.mark.parametrize("name", ["float32", "float16", "dynamic", "int8"])
def test_the_format_is_read_off_the_graph(lite_files, name):
    graph = flatbuffer.read(lite_files[name])
    assert graph.format == name
    assert bool(graph.float_tensors()) == (name != "int8")
    assert (graph.inputs[0].dtype, graph.outputs[0].dtype) == ("uint8", "uint8" if name == "int8" else "float32")


def test_the_graph_agrees_with_the_interpreter(lite_files):
    graph, model = flatbuffer.read(lite_files["int8"]), LiteModel(lite_files["int8"])
    for ours, theirs in ((graph.inputs[0], model.input), (graph.outputs[0], model.outputs[0])):
        assert ours.name == theirs["name"]
        assert ours.shape == tuple(theirs["shape"])
        assert (ours.scale[0], ours.zero_point[0]) == theirs["quantization"]


def test_an_open_batch_is_minus_one_in_the_signature(classifier):
    from tfmap.export import convert

    graph = flatbuffer.read(convert.float32(classifier, batch_size=0))
    assert (graph.inputs[0].shape, graph.inputs[0].shape_signature) == ((1, 48, 48, 3), (-1, 48, 48, 3))
    assert (graph.outputs[0].shape, graph.outputs[0].shape_signature) == ((1, 6), (-1, 6))
    assert graph.inputs[0].is_open
    assert graph.outputs[0].is_open


def test_a_fixed_batch_is_not_open(lite_files):
    for file in (*lite_files.values(), REFERENCE / "automl_labeler_model.tflite"):
        assert not any(tensor.is_open for tensor in flatbuffer.read(file).tensors)


def test_every_size_of_a_file_of_others_is_open():
    (image,) = flatbuffer.read(REFERENCE / "dilated_conv.tflite").inputs
    assert (image.shape, image.shape_signature, image.is_open) == ((1, 1, 1, 3), (-1, -1, -1, 3), True)


def test_named_buffers_come_back_and_are_replaced(lite_files):
    once = flatbuffer.with_named_buffer(lite_files["int8"], "NOTE", b"first")
    twice = flatbuffer.with_named_buffer(once, "NOTE", b"second")
    assert flatbuffer.named_buffer(once, "NOTE") == b"first"
    assert flatbuffer.named_buffer(twice, "NOTE") == b"second"
    assert flatbuffer.named_buffer(twice, "OTHER") is None
    assert abs(len(twice) - len(once)) <= 16  # the old one is gone, not hidden


def test_rewriting_changes_no_answer(lite_files, photos):
    again = flatbuffer.with_named_buffer(lite_files["int8"], "NOTE", b"x")
    np.testing.assert_array_equal(LiteModel(again).raw(photos[0]), LiteModel(lite_files["int8"]).raw(photos[0]))


def test_weights_lie_at_multiples_of_sixteen(lite_files):
    file = flatbuffer.with_named_buffer(lite_files["float32"], "NOTE", b"x")
    model = schema.Model.GetRootAsModel(file, 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    places = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]
    assert len(places) > 10
    assert {place % 16 for place in places} == {0}


def test_equal_vectors_stand_in_a_file_once(lite_files):
    """The zero points of channels, above all: the schema wants one for each."""
    file = flatbuffer.with_named_buffer(lite_files["int8"], "NOTE", b"x")
    graph = schema.Model.GetRootAsModel(file, 0).Subgraphs(0)
    scaled = [tensor for i in range(graph.TensorsLength()) if (tensor := graph.Tensors(i).Quantization())]
    zeros = {}
    for quantization in scaled:
        values = tuple(quantization.ZeroPoint(i) for i in range(quantization.ZeroPointLength()))
        if len(values) > 1:
            assert quantization.ScaleLength() == len(values)
            zeros.setdefault(values, []).append(quantization._tab.Vector(quantization._tab.Offset(10)))
    assert any(len(places) > 2 for places in zeros.values())
    assert {len(set(places)) for places in zeros.values()} == {1}
    assert len(file) < len(flatbuffer.with_named_buffer(file, "NOTE", b"x" * 17))  # what is new is written


def test_a_missing_file(tmp_path):
    path = tmp_path / "no.tflite"
    with pytest.raises(FileNotFoundError, match=re.escape(f"{path} does not exist. Expected a .tflite file.")):
        flatbuffer.read(path)


def test_no_tflite_file(tmp_path):
    path = tmp_path / "photo.tflite"
    path.write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF")
    text = rf"{path} is not a TFLite file: bytes 4 to 8 must be b'TFL3', received b'\x00\x10JF'."
    with pytest.raises(InputError, match=re.escape(text)):
        flatbuffer.read(path)


def test_a_file_that_points_outside_itself():
    path = REFERENCE / "model_invoking_error.tflite"
    with pytest.raises(InputError, match=f"^{re.escape(str(path))} is a broken TFLite file: list index out of range"):
        flatbuffer.read(path)


@pytest.mark.parametrize("length", [8, 100, 2000])
def test_a_cut_file(lite_files, length):
    with pytest.raises(InputError, match="the model is a broken TFLite file: "):
        flatbuffer.read(lite_files["int8"][:length])


def test_constants_are_read_as_the_interpreter_reads_them(lite_files):
    from ai_edge_litert.interpreter import Interpreter

    graph, found = flatbuffer.read(lite_files["int8"]), 0
    interpreter = Interpreter(model_content=lite_files["int8"])
    interpreter.allocate_tensors()
    for tensor in graph.tensors:
        if tensor.is_weight and tensor.dtype == "int8":
            raw = interpreter.get_tensor(tensor.index).astype(np.float32)
            along = [-1 if axis == tensor.axis else 1 for axis in range(raw.ndim)]
            np.testing.assert_allclose(flatbuffer.array(tensor), raw * np.float32(tensor.scale).reshape(along))
            found += 1
    assert found == 5


def test_a_computed_tensor_has_no_values(lite_files):
    graph = flatbuffer.read(lite_files["int8"])
    assert flatbuffer.array(graph.outputs[0]) is None


@given(st.lists(st.integers(-8, 7), min_size=1, max_size=30))
def test_four_bit_numbers_lie_two_in_a_byte(values):
    padded = np.array([*values, *[0] * (len(values) % 2)], np.int8)
    data = (padded[::2] & 15 | padded[1::2] << 4).view(np.uint8)
    tensor = Tensor("w", "int4", (len(values),), (0.5,), (0,), len(data), 0, data=data)
    np.testing.assert_array_equal(flatbuffer.array(tensor), np.float32(values) / 2)


def test_scales_that_do_not_fit_give_no_values():
    data = np.zeros(6, np.uint8)
    for shape, axis in (((2, 3), 0), ((6,), 3)):
        assert flatbuffer.array(Tensor("w", "int8", shape, (1.0,) * 3, (0,) * 3, 6, 0, axis=axis, data=data)) is None
    assert flatbuffer.array(Tensor("w", "int8", (2, 3), (1.0,) * 3, (0,) * 3, 6, 0, axis=1, data=data)).shape == (2, 3)
