"""Files that say the class of each pixel: the choice is the one that their scores would have made."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import tfmap
from tests.tasks.detectors.test_tfmap_det import body
from tfmap import export, flatbuffer, tasks, verify
from tfmap.compress import compress
from tfmap.errors import InputError
from tfmap.export import metadata
from tfmap.inspect import contents
from tfmap.litert import LiteModel
from tfmap.models.levels import marked
from tfmap.source import Source
from tfmap.tasks.segmenters import tfmap_seg
from tfmap.verify import clients, runtimes

ABOUT = {"task": "segmentation", "classes": ("a", "b", "c")}
FAST = {"samples": 8, "coverage": 0}


@pytest.fixture(scope="module")
def net():
    """It has learned nothing, but its classes differ from pixel to pixel."""
    keras.utils.set_random_seed(0)
    net = tfmap_seg.head(marked(body(name="normalisation")), 3, width=16)
    for layer in net.layers:
        if layer.name.startswith("scores_conv") and layer.weights:
            layer.kernel.assign(layer.kernel * 40)
    return net


@pytest.fixture(scope="module")
def split():
    return tfmap.load("sample:membrane", seed=0).split("train").take(np.arange(4))


def pictures(net):
    return np.random.default_rng(0).integers(0, 256, (3, *net.input_shape[1:]), np.uint8)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("float16", "dynamic", "int16x8", "int4")]


@pytest.mark.parametrize("format", ["float32", "int8", *SLOW])
def test_the_class_is_the_one_with_the_best_score(net, split, format):
    options = {**ABOUT, **FAST, "format": format, "split": split}
    if format == "int4":
        pytest.importorskip("ai_edge_quantizer")
    scores, classes = (export.tflite(net, class_map=said, **options) for said in (False, True))
    expected, received = LiteModel(scores).raw(pictures(net)), LiteModel(classes).raw(pictures(net))
    assert received.dtype == np.uint8
    assert received.shape == expected.shape[:3]
    np.testing.assert_array_equal(received, expected.argmax(axis=-1))
    assert len(np.unique(received)) > 1
    assert len(classes) < len(scores) + 2000


def test_an_open_batch_stays_open(net):
    file = export.tflite(net, class_map=True, format="float32", batch_size="dynamic", **ABOUT)
    (output,) = flatbuffer.read(file).outputs
    assert output.shape_signature == (-1, *net.input_shape[1:3])
    lite = Interpreter(model_content=file)
    lite.resize_tensor_input(lite.get_input_details()[0]["index"], (3, *net.input_shape[1:]))
    lite.allocate_tensors()
    lite.set_tensor(lite.get_input_details()[0]["index"], pictures(net))
    lite.invoke()
    np.testing.assert_array_equal(
        lite.get_tensor(lite.get_output_details()[0]["index"]), LiteModel(file).raw(pictures(net))
    )


def test_the_file_says_what_it_gives(net):
    file = export.tflite(net, class_map=True, format="float32", **ABOUT)
    about = metadata.read(file)
    assert about.labels == ABOUT["classes"]
    assert about.about["class_map"] is True
    (output,) = contents.read(file)["outputs"]
    assert (output["name"], output["dtype"]) == ("class_map", "uint8")
    assert [op.name for op in flatbuffer.read(file).ops][-2:] == ["ARG_MAX", "CAST"]


@pytest.mark.slow
def test_after_rounding_while_learning(net, split):
    source = Source("membrane", ABOUT["classes"], {"train": split}, target="mask")
    options = {"task": "segmentation", "pipeline": {"batch_size": 2}, "verbose": False}
    quantized = compress(net, source, recipe="qat", epochs=1, **options).to_tflite()
    scores, classes = (export.tflite(quantized, class_map=said, **ABOUT) for said in (False, True))
    expected = LiteModel(scores).raw(pictures(net)).argmax(axis=-1)
    np.testing.assert_array_equal(LiteModel(classes).raw(pictures(net)), expected)


@pytest.mark.parametrize("format", ["int8", pytest.param("float32", marks=pytest.mark.slow)])
def test_it_is_verified(net, split, format):
    file = export.tflite(net, class_map=True, format=format, split=split, **ABOUT, **FAST)
    found = verify.verify(net, file, split, budget=100.0, seconds=0.01, mode="report", **ABOUT)
    assert found["passed"]
    assert found["agreement"] > (0.95 if format == "float32" else 0.8)  # pictures are larger: classes go by the nearest
    assert found["runtimes"]["judged"] == "mean"
    assert not [line for line in found["findings"] if "threads" in line]


def test_other_kernels_that_choose_otherwise_are_told(net, monkeypatch):
    file = export.tflite(net, class_map=True, format="float32", **ABOUT)
    answers = iter([np.zeros((1, 4, 4)), *[np.zeros((1, 4, 4))] * 5, np.eye(4)[None]])
    monkeypatch.setattr(LiteModel, "predict", lambda lite, images: next(answers))
    (finding,) = runtimes.compare(file, pictures(net), format="float32")["findings"]
    assert finding == (
        "the built-in kernels and 4 threads see another class at 25.00% of the pixels than XNNPACK and one thread; "
        "the bound is 0.01%."
    )


def test_mediapipe_chooses_itself(net, split, monkeypatch):
    monkeypatch.setattr(clients, "installed", lambda: None)  # wherever it is
    file = export.tflite(net, class_map=True, format="float32", **ABOUT)
    with pytest.raises(
        InputError, match=r"clients asks MediaPipe Tasks, which wants a score .* export.class_map=false"
    ):
        verify.verify(net, file, split, clients=True, **ABOUT)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"task": "detection"},
            "export.class_map=true is for task segmentation, received task=detection. Leave it",
        ),
        ({"output_type": "float32"}, "class_map=true gives .* as uint8, received export.output_type=float32. Leave it"),
    ],
)
def test_what_cannot_be_is_told(net, options, text):
    with pytest.raises(InputError, match=text):
        export.tflite(net, class_map=True, **{**ABOUT, "format": "float32", **options})


def test_classes_at_another_size_are_those_of_the_nearest_pixel():
    said = np.float32([[[0, 1], [2, 1]]])
    (mask,) = tasks.get("segmentation").decode(said, whole=np.array([[4, 6]]))
    np.testing.assert_array_equal(mask, np.kron([[0, 1], [2, 1]], np.ones((2, 3))))
    assert mask.dtype == np.uint8


def test_windows_vote():
    said = np.float32([[[0, 0], [0, 0]], [[2, 2], [2, 2]]])
    places = np.array([[0, 0], [0, 2]])
    found = tasks.get("segmentation").whole(said, places, (2, 2), (2, 4))
    np.testing.assert_array_equal(found, [[0, 0, 2, 2]] * 2)
