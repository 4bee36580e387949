"""The strict check of integers, on graphs made for it and on files of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfmap import flatbuffer
from tfmap.graph import Graph, Op, Tensor
from tfmap.verify import integers

REFERENCE = Path(__file__).parents[1] / "data" / "tflite"


def tensor(name, dtype="int8", shape=(1, 4), scale=(0.5,), nbytes=0, axis=0):
    return Tensor(name, dtype, shape, scale, (0,) * len(scale), nbytes, 0, axis=axis)


def chain(*ops, start=None, end=None):
    """A graph of one tensor after the other: (name of op, further inputs, custom)."""
    at = start or tensor("in")
    first, made = at, []
    for n, (name, more, custom) in enumerate(ops):
        to = (end or tensor("out")) if n == len(ops) - 1 else tensor(f"t{n}")
        made.append(Op(name, (at, *more), (to,), custom))
        at = to
    return Graph(tuple(made), (first,), (at,))


def test_a_graph_of_integers_has_no_findings():
    assert integers.findings(chain(("CONV_2D", (), False), ("RELU", (), False))) == []


def test_a_float_op_at_the_border_is_found_though_no_tensor_inside_is_float():
    floating = tensor("in", "float32", scale=())
    found = integers.findings(chain(("CONV_2D", (), False), ("RELU", (), False), start=floating))
    assert found == ["the int8 file computes in floating point at its border, in CONV_2D."]
    assert integers.findings(chain(("QUANTIZE", (), False), ("RELU", (), False), start=floating)) == []


def test_float_inside_is_found_and_may_be_allowed():
    inner = tensor("block_3/conv", "float32", scale=())
    first = Op("DEQUANTIZE", (tensor("a"),), (tensor("a_float", "float32", scale=()),))
    second = Op("CONV_2D", first.outputs, (inner,))
    third = Op("QUANTIZE", (inner,), (tensor("b"),))
    start, end = Op("RELU", (tensor("in"),), first.inputs), Op("RELU", third.outputs, (tensor("out"),))
    graph = Graph((start, first, second, third, end), start.inputs, end.outputs)
    text = "2 tensors inside the int8 file are floating point, at CONV_2D, DEQUANTIZE, QUANTIZE."
    assert integers.findings(graph) == [text]
    assert integers.findings(graph, keep_float=["block_4*"]) == [text]
    assert integers.findings(graph, keep_float=["block_3*"]) == []


def test_flex_and_custom_ops_are_named():
    ops = (("FlexErf", (), True), ("MyOp", (), True), ("TFLite_Detection_PostProcess", (), True))
    assert integers.findings(chain(*ops)) == [
        "Flex ops, which need TensorFlow's kernels in the app: FlexErf.",
        "custom ops, which no runtime has built in: MyOp.",
    ]


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_scale_must_be_a_number_above_zero(scale):
    bad = tensor("kernel", scale=(0.5, scale), shape=(2, 3), nbytes=6)
    found = integers.findings(chain(("FULLY_CONNECTED", (bad,), False), ("RELU", (), False)))
    assert found == ["kernel: a scale is not a number above 0."]


def test_each_channel_of_a_convolution_needs_its_own_scale():
    coarse, fine = (tensor("w", shape=(2, 1, 1, 3), scale=scale, nbytes=6) for scale in ((0.5,), (0.5, 0.1)))
    found = integers.findings(chain(("CONV_2D", (coarse,), False), ("RELU", (), False)))
    assert found == ["CONV_2D t0: one scale for all channels of the kernel; each needs its own."]
    assert integers.findings(chain(("CONV_2D", (fine,), False), ("RELU", (), False))) == []


def test_an_output_that_no_input_reaches_is_found_in_float_files_too():
    start, constant, end = (tensor(name, "float32", scale=()) for name in ("in", "c", "answer"))
    graph = Graph(
        (Op("RELU", (start,), (tensor("t", "float32", scale=()),)), Op("NEG", (constant,), (end,))), (start,), (end,)
    )
    assert integers.findings(graph) == ["answer: an output that does not depend on the input."]


def test_a_float_file_of_others_has_nothing_to_find():
    assert integers.findings(flatbuffer.read(REFERENCE / "dilated_conv.tflite")) == []


def test_an_older_file_of_others_has_one_scale_a_kernel():
    (line,) = integers.findings(flatbuffer.read(REFERENCE / "automl_labeler_model.tflite"))
    assert line.startswith("CONV_2D MobilenetV2/Conv/Relu6, DEPTHWISE_CONV_2D ")
    assert line.endswith(" and 50 more: one scale for all channels of the kernel; each needs its own.")


def test_the_op_that_gives_boxes_may_give_them_as_floats():
    boxes = tensor("boxes", "float32", scale=())
    ops = (("CONV_2D", (), False), ("TFLite_Detection_PostProcess", (), True))
    assert integers.findings(chain(*ops, end=boxes)) == []


def test_what_brings_its_boxes_into_form_may_too():
    boxes, given = tensor("boxes", "float32", scale=()), tensor("given", "float32", scale=())
    inner = tensor("inner")
    ops = (
        Op("CONV_2D", (tensor("in"),), (inner,)),
        Op("TFLite_Detection_PostProcess", (inner,), (given,), True),
        Op("MAXIMUM", (given,), (boxes,)),
    )
    assert integers.findings(Graph(ops, ops[0].inputs, (boxes,))) == []
    other = Op("MAXIMUM", (inner,), (boxes,))
    (line,) = integers.findings(Graph((ops[0], other), ops[0].inputs, (boxes,)))
    assert line.endswith("computes in floating point at its border, in MAXIMUM.")


def test_floats_between_the_border_and_the_integers_are_no_fault():
    """int16x8: bytes -> floats -> int16, and back."""
    byte, floats, inner = tensor("in", "uint8"), tensor("floats", "float32", scale=()), tensor("inner", "int16")
    to, back, end = tensor("to", "int16"), tensor("back", "float32", scale=()), tensor("out", "float32", scale=())
    ops = (
        Op("CAST", (byte,), (floats,)),
        Op("QUANTIZE", (floats,), (inner,)),
        Op("CONV_2D", (inner,), (to,)),
        Op("DEQUANTIZE", (to,), (back,)),
        Op("CAST", (back,), (end,)),
    )
    assert integers.findings(Graph(ops, (byte,), (end,))) == []
    # The same ops in the middle compute in floats for nothing.
    more = (Op("RELU", (byte,), (to,)), Op("DEQUANTIZE", (to,), (back,)), Op("QUANTIZE", (back,), (inner,)))
    (text,) = integers.findings(Graph((*more, Op("RELU", (inner,), (end,))), (byte,), (end,)))[:1]
    assert text == "1 tensors inside the int16x8 file are floating point, at DEQUANTIZE, QUANTIZE."


def test_a_file_that_was_ordered_in_integers_and_is_none():
    graph = flatbuffer.read(REFERENCE / "dilated_conv.tflite")
    text = "the file computes in floating point (float32 inside); it was ordered as int8."
    assert integers.ordered(graph, "int8") == [text]
    assert integers.ordered(graph, "float32") == integers.ordered(graph, None) == []
    assert integers.ordered(chain(("CONV_2D", (), False), ("RELU", (), False)), "int8") == []
