"""An int8 file of a detector: its boxes are computed in float from the last kernels on, everything else in integers."""

from __future__ import annotations

import keras
import pytest

import tfmap
from tests.tasks.detectors.test_tfmap_det import body
from tfmap import export, flatbuffer
from tfmap.models.levels import marked
from tfmap.tasks.detectors import tail, tfmap_det
from tfmap.verify import integers


@pytest.fixture(scope="module")
def made():
    """A file, and what was found while it was made."""
    keras.utils.set_random_seed(0)
    net, found = tfmap_det.head(marked(body()), 3, width=8, depth=1), {}
    train = tfmap.load("sample:cells").split("train")
    shared = {"classes": ("a", "b", "c"), "task": "detection", "samples": 8, "coverage": 0}
    return export.tflite(net, split=train, watch=found.update, **shared), found


def test_the_codes_alone_are_computed_in_float(made):
    file, found = made
    graph = flatbuffer.read(file)
    kernels = [op.outputs[0].name for op in graph.ops if op.name == "CONV_2D" and op.outputs[0].dtype == "float32"]
    assert len(kernels) == 3
    assert all("codes_P" in name for name in kernels)
    assert set(kernels) < set(found["kept_float"])
    assert {op.name for op in graph.float_ops()} == {
        *(
            "DEQUANTIZE",
            "CONV_2D",
            "RESHAPE",
            "CONCATENATION",
            "TANH",
            "TFLite_Detection_PostProcess",
            "MAXIMUM",
            "MINIMUM",
        )
    }


def test_what_is_kept_is_all_that_is_float(made):
    file, found = made
    graph = flatbuffer.read(file)
    kept = [*found["kept_float"], "boxes"]
    assert not [line for line in integers.findings(graph, keep_float=kept) if "float" in line]
    assert [line for line in integers.findings(graph) if "float" in line]


def test_a_tail_ends_at_the_last_kernels():
    keras.utils.set_random_seed(0)
    net = tfmap_det.head(marked(body()), 3, width=8, depth=1)
    file = export.convert.float32(tail.cut(net), input_type="float32")
    names = export.floats.tail(file, "scores")
    assert sum("logits_P" in name and "conv" in name for name in names) == 3
    assert not [name for name in names if "class_P" in name]
