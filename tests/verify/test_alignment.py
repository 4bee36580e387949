"""Ops of two formats of one model find each other."""

from __future__ import annotations

import pytest

from tfmap import flatbuffer
from tfmap.graph import Graph, Op, Tensor
from tfmap.verify import alignment


def graph(*ops):
    """A chain of (op, shape, name)."""
    tensors = [Tensor(name, "float32", shape, (), (), 0, 0, index=n) for n, (_, shape, name) in enumerate(ops)]
    made = [Op(op, (), (tensor,)) for (op, _, _), tensor in zip(ops, tensors, strict=True)]
    return Graph(tuple(made), (), tensors[-1:])


def names(left, right):
    return [(a.outputs[0].name, b.outputs[0].name) for a, b in alignment.pairs(left, right)]


def test_equal_graphs_pair_in_order():
    one = graph(("CONV_2D", (1, 8), "a"), ("RELU", (1, 8), "b"))
    assert names(one, one) == [("a", "a"), ("b", "b")]


def test_ops_between_formats_are_left_out():
    left = graph(("MUL", (1, 8), "m"), ("CONV_2D", (1, 8), "a"), ("RELU", (1, 8), "b"))
    right = graph(
        ("CONV_2D", (1, 8), "a"), ("QUANTIZE", (1, 8), "q"), ("RELU", (1, 8), "b"), ("DEQUANTIZE", (1, 8), "d")
    )
    assert names(left, right) == [("a", "a"), ("b", "b")]


def test_an_op_that_is_missing_in_a_row_of_equal_ones_shifts_nothing():
    left = graph(*(("CONV_2D", (1, 8), f"c{n}") for n in range(5)))
    right = graph(*(("CONV_2D", (1, 8), f"c{n}") for n in (0, 1, 3, 4)))
    assert names(left, right) == [(f"c{n}", f"c{n}") for n in (0, 1, 3, 4)]


def test_other_names_are_matched_by_kind_and_shape_between_those_that_agree():
    left = graph(("CONV_2D", (1, 8), "a"), ("CONV_2D", (1, 4), "b"), ("MEAN", (1,), "c"))
    right = graph(("CONV_2D", (1, 8), "a"), ("CONV_2D", (1, 4), "b;fused"), ("MEAN", (1,), "c"))
    assert names(left, right) == [("a", "a"), ("b", "b;fused"), ("c", "c")]


def test_other_shapes_are_other_ops():
    assert names(graph(("CONV_2D", (1, 8), "a")), graph(("CONV_2D", (1, 16), "a"))) == []


@pytest.mark.parametrize("name", ["float16", "dynamic", "int8"])
def test_every_kernel_of_a_real_file_finds_its_own(lite_files, name):
    pairs = alignment.pairs(flatbuffer.read(lite_files["float32"]), flatbuffer.read(lite_files[name]))
    ops = [ours.name for _, ours in pairs]
    assert ops.count("CONV_2D") == 2
    assert ops.count("FULLY_CONNECTED") == 1
    assert ops.count("DEPTHWISE_CONV_2D") == 2  # the one that rescales pixels has no counterpart
