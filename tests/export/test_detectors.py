"""An int8 file of a detector: its boxes are computed in float from the last kernels on, everything else in integers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tfmap
from tests.tasks.detectors.test_tfmap_det import body
from tfmap import export, flatbuffer, tasks
from tfmap.errors import InputError
from tfmap.export import convert, detectors, floats, handoff
from tfmap.litert import LiteModel
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
    behind = {"PAD", "GATHER", "CAST", "TFLite_Detection_PostProcess", "MAXIMUM", "MINIMUM"}
    tanh = {"DEQUANTIZE", "CONV_2D", "RESHAPE", "CONCATENATION", "TANH"}
    assert {op.name for op in graph.float_ops()} == behind | tanh


def test_what_is_kept_is_all_that_is_float(made):
    file, found = made
    graph = flatbuffer.read(file)
    assert not [line for line in integers.findings(graph, keep_float=found["kept_float"]) if "float" in line]
    assert [line for line in integers.findings(graph) if "float" in line]


@pytest.mark.slow
def test_four_bits_are_for_kernels_in_integers_alone():
    keras.utils.set_random_seed(0)
    net = tfmap_det.head(marked(body()), 3, width=8, depth=1)
    train = tfmap.load("sample:cells").split("train")
    options = {"classes": ("a", "b", "c"), "task": "detection", "samples": 8, "coverage": 0, "format": "int4"}
    graph = flatbuffer.read(export.tflite(net, split=train, **options))
    kernels = [tensor for op in graph.ops if op.name == "CONV_2D" for tensor in op.inputs if len(tensor.shape) == 4]
    assert {tensor.dtype for tensor in kernels if tensor.nbytes} == {"int4", "int8", "float32"}
    exact = [op.outputs[0].name for op in graph.ops if op.name == "CONV_2D" and op.outputs[0].dtype == "float32"]
    assert len(exact) == 3
    assert all("codes_P" in name for name in exact)


def test_without_suppression_boxes_are_computed_in_float_as_well():
    keras.utils.set_random_seed(0)
    net, found = tfmap_det.head(marked(body()), 3, width=8, depth=1), {}
    train = tfmap.load("sample:cells").split("train")
    shared = {"classes": ("a", "b", "c"), "task": "detection", "samples": 8, "coverage": 0, "suppression": False}
    file = export.tflite(net, split=train, watch=found.update, **shared)
    graph = flatbuffer.read(file)
    assert not [line for line in integers.findings(graph, keep_float=found["kept_float"]) if "float" in line]
    pictures = np.random.default_rng(0).integers(0, 256, (2, *net.input_shape[1:]), np.uint8)
    said, exact = LiteModel(file).predict(pictures), net(pictures.astype("float32"))
    np.testing.assert_allclose(said["boxes"], exact["boxes"], atol=0.5)
    np.testing.assert_allclose(said["scores"], exact["scores"], atol=0.02)


def test_a_file_of_codes_that_does_not_know_its_anchors_is_told():
    keras.utils.set_random_seed(0)
    net = tfmap_det.head(marked(body()), 3, width=8, depth=1)
    pictures = np.random.default_rng(0).integers(0, 256, (2, *net.input_shape[1:]), np.uint8)
    ends = {"input_type": "uint8", "output_type": "float32"}
    codes = convert.int8(tail.cut(net), pictures, **ends, keep=floats.tail(convert.float32(tail.cut(net)), "codes"))
    options = {"classes": ("a", "b", "c"), "task": "detection"}
    with pytest.raises(InputError, match="export: this file does not say what made boxes of its codes, as that of Qua"):
        export.tflite(codes, **options)
    known = tail.noted(codes, tail.boxes_of(net))
    with pytest.raises(InputError, match="a detector's file takes one picture and gives float32, received batch_s"):
        export.tflite(known, **options, batch_size=2)
    with pytest.raises(InputError, match="the model has 3 outputs but classes has 2 names"):
        export.tflite(known, **{**options, "classes": ("a", "b")})
    assert flatbuffer.read(export.tflite(known, **options)).outputs[0].shape == (1, 100, 4)
    floating = tail.noted(convert.float32(tail.cut(net)), tail.boxes_of(net))
    with pytest.raises(InputError, match="export: quantisation-aware training leaves ops of this model in float, at "):
        export.tflite(floating, **options)


def test_only_a_detector_suppresses(classifier, trash_classes):
    with pytest.raises(InputError, match=r"export.suppression=false is for task detection, received task=classific"):
        export.tflite(classifier, classes=trash_classes, format="float32", suppression=False)


def test_the_kits_snippets_are_for_files_that_suppress(made):
    assert handoff.fits(made[0])
    keras.utils.set_random_seed(0)
    net = tfmap_det.head(marked(body()), 3, width=8, depth=1)
    shared = {"classes": ("a", "b", "c"), "task": "detection", "format": "float32"}
    assert not handoff.fits(export.tflite(net, suppression=False, **shared))


def test_a_tail_ends_at_the_last_kernels():
    keras.utils.set_random_seed(0)
    net = tfmap_det.head(marked(body()), 3, width=8, depth=1)
    file = export.convert.float32(tail.cut(net), input_type="float32")
    names = export.floats.tail(file, "scores")
    assert sum("logits_P" in name and "conv" in name for name in names) == 3
    assert not [name for name in names if "class_P" in name]


@pytest.fixture(scope="module", params=[3, 6])
def trained(request):
    """A float32 file of so many classes, each of which is found in a picture of noise."""
    keras.utils.set_random_seed(0)
    net = tfmap_det.head(marked(body()), request.param, width=16, depth=1)
    for layer in net.layers:
        if layer.name.startswith(("logits_", "codes_")) and layer.weights:
            layer.kernel.assign(layer.kernel * 60)
            layer.bias.assign(layer.bias / 4)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 64, 96, 3), np.uint8)
    return (
        export.tflite(net, classes=tuple("abcdef"[: request.param]), task="detection", format="float32"),
        net,
        pictures,
    )


@pytest.mark.parametrize("threads", [1, 2, 4, 8])
def test_every_class_is_found_whatever_the_threads(trained, threads):
    """The runtime's op never looks at the class whose number is that of its threads."""
    file, net, pictures = trained
    decode = tasks.get("detection").decode
    theirs = decode(net.predict(pictures.astype("float32"), verbose=0))
    ours = decode(LiteModel(file, threads=threads).predict(pictures), size=(64, 96))
    classes = net.output["scores"].shape[-1]
    for mine, own in zip(ours, theirs, strict=True):
        assert len(mine.scores) == len(own.scores)
        np.testing.assert_array_equal(*(np.bincount(one.classes, minlength=classes) for one in (mine, own)))
        np.testing.assert_allclose(mine.scores, own.scores, atol=1e-5)
    found = set(np.concatenate([one.classes for one in theirs]).tolist())
    assert {kind for kind in (2, 4) if kind < classes} <= found  # which two and four threads would not find


def test_what_the_columns_are():
    assert detectors.spread(1).tolist() == [0]
    assert detectors.spread(2).tolist() == [0, 1]
    assert detectors.spread(4).tolist() == [0, 1, *[4] * 15, 2, 3]
