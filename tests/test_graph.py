"""Graphs as plain values."""

from __future__ import annotations

import json

from tfmap.graph import Graph, Op, Tensor


def _tensor(name, dtype="int8", shape=(1, 4), scale=(0.5,), nbytes=0, zeros=0):
    return Tensor(name, dtype, shape, scale, (0,) * len(scale), nbytes, zeros)


def _graph(*inside, weights=()):
    start, end = _tensor("in", "float32", scale=()), _tensor("out", "float32", scale=())
    chain = [start, *inside, end]
    ops = [Op("CONV_2D", (a, *weights), (b,)) for a, b in zip(chain, chain[1:], strict=False)]
    return Graph(tuple(ops), (start,), (end,))


def test_float_at_the_border_is_not_inside():
    assert _graph(_tensor("a"), _tensor("b")).float_tensors() == []


def test_one_float_tensor_is_found_with_its_ops():
    graph = _graph(_tensor("a"), _tensor("b", "float16", scale=()), _tensor("c"))
    assert [tensor.name for tensor in graph.float_tensors()] == ["b"]
    assert len(graph.float_ops()) == 2


def test_one_quantised_activation_makes_it_a_claim_to_be_int8():
    assert _graph(_tensor("a", "float32", scale=()), _tensor("b")).format == "int8"


def test_sparsity_counts_kernels_only():
    kernel, bias = _tensor("w", shape=(2, 5), nbytes=10, zeros=4), _tensor("b", shape=(5,), nbytes=5, zeros=5)
    assert _graph(_tensor("a"), weights=(kernel, bias)).sparsity() == 0.4
    assert _graph(_tensor("a")).sparsity() == 0.0


def test_a_tensor_used_twice_counts_once():
    kernel = _tensor("w", shape=(2, 5), nbytes=10, zeros=4)
    assert [tensor.name for tensor in _graph(_tensor("a"), weights=(kernel,)).tensors] == ["in", "w", "a", "out"]


def test_the_description_is_json(lite_files):
    from tfmap import flatbuffer

    found = json.loads(json.dumps(flatbuffer.read(lite_files["int8"]).describe(), allow_nan=False))
    assert found["input"]["scale"] == 1.0
    assert found["output"]["scale"] == 1 / 256
    assert found["ops"][-1]["op"] == "QUANTIZE"


def test_an_output_that_no_input_reaches_is_named():
    start, constant, a, b = (_tensor(name) for name in ("in", "constant", "a", "b"))
    ops = (Op("RELU", (start, constant), (a,)), Op("NEG", (constant,), (b,)))
    assert Graph(ops, (start,), (a, b)).unmoved() == [b]
    assert Graph(ops, (start,), (a, start)).unmoved() == []


def test_formats_are_told_by_activations_and_kernels():
    def found(activation, kernel, scale=(0.5,)):
        inside = [_tensor("a", activation, scale=scale), _tensor("b", activation, scale=scale)]
        return _graph(*inside, weights=(_tensor("w", kernel, shape=(2, 5), nbytes=10),)).format

    assert found("int8", "int8") == "int8"
    assert found("int16", "int8") == "int16x8"
    assert found("int8", "int4") == "int4"
    assert found("float32", "int4", ()) == "int4"
    assert found("float32", "int8", ()) == "dynamic"


def test_the_16_bit_state_of_a_recurrent_layer_makes_no_16_bit_file():
    assert _graph(_tensor("a"), _tensor("state", "int16"), _tensor("b")).format == "int8"


def test_a_fused_name_has_a_short_form():
    assert _tensor("net/relu;net/conv;net/bias").short == "net/relu"
