"""What a file holds: ours to the byte, of others as their makers wrote it, and damaged ones refused."""

from __future__ import annotations

import contextlib
import hashlib
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.export import metadata, tables
from tfmap.inspect import contents

FORMATS = ("float32", "float16", "dynamic", "int8")


@pytest.mark.parametrize("name", FORMATS)
def test_sizes_add_up_to_the_file(lite_files, name):
    found = contents.read(lite_files[name])
    assert sum(found["sizes"].values()) == found["bytes"] == len(lite_files[name])
    assert all(size >= 0 for size in found["sizes"].values())
    assert found["sizes"]["constants"] == sum(op["bytes"] for graph in found["subgraphs"] for op in graph["ops"])
    assert found["sha256"] == hashlib.sha256(lite_files[name]).hexdigest()


def test_a_layer_weighs_what_its_kernel_and_bias_weigh(lite_files):
    """The classifier's last layer is Dense(32 -> 6)."""
    (graph,) = contents.read(lite_files["float32"])["subgraphs"]
    (dense,) = [op for op in graph["ops"] if op["op"] == "FULLY_CONNECTED"]
    assert dense["bytes"] == 4 * (32 * 6 + 6)
    (graph,) = contents.read(lite_files["int8"])["subgraphs"]
    (dense,) = [op for op in graph["ops"] if op["op"] == "FULLY_CONNECTED"]
    assert dense["bytes"] == 32 * 6 + 4 * 6


def test_a_buffer_that_two_ops_share_counts_once():
    """Two layers of zeros are one buffer to the converter."""
    import keras

    from tfmap.export import convert

    inputs = keras.Input((8, 8, 3))
    layers = [keras.layers.Conv2D(3, 3, padding="same", kernel_initializer="ones", activation="relu") for _ in range(3)]
    x = inputs
    for layer in layers:
        x = layer(x)
    file = convert.float32(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x)))
    found = contents.read(file)
    shared = [op for op in found["subgraphs"][0]["ops"] if op["op"] == "CONV_2D"]
    assert [op["bytes"] for op in shared] == [4 * (81 + 3), 0, 0]
    assert found["sizes"]["structure"] > 0


def test_tensors_are_those_of_the_interpreter(lite_files):
    from tfmap.litert import LiteModel

    found, model = contents.read(lite_files["int8"]), LiteModel(lite_files["int8"])
    for ours, theirs in ((found["inputs"][0], model.input), (found["outputs"][0], model.outputs[0])):
        assert (ours["name"], ours["shape"]) == (theirs["name"], theirs["shape"].tolist())
        assert (ours["scale"], ours["zero_point"]) == theirs["quantization"]
    kernels = [tensor for tensor in found["subgraphs"][0]["tensors"] if "channels" in tensor]
    assert {tensor["channels"] for tensor in kernels} >= {16, 32}


def test_an_open_size_is_told(reference, lite_files):
    (image,) = contents.read(reference / "dilated_conv.tflite")["inputs"]
    assert (image["shape"], image["shape_signature"]) == ([1, 1, 1, 3], [-1, -1, -1, 3])
    assert "shape_signature" not in contents.read(lite_files["float32"])["inputs"][0]


def test_signatures_name_arguments_and_results(lite_files):
    (signature,) = contents.read(lite_files["float32"])["signatures"]
    assert list(signature["inputs"]) == ["image"]
    assert list(signature["outputs"]) == ["probabilities"]


def test_our_metadata_and_labels(lite_files, trash_classes):
    about = metadata.Metadata(trash_classes, translations={"de": tuple("abcdef")}, about={"task": "classification"})
    found = contents.read(metadata.attach(lite_files["int8"], about))
    assert found["labels"] == {"": list(trash_classes), "de": list("abcdef")}
    assert found["tfmap"] == {"task": "classification"}
    assert list(found["files"]) == ["labels.txt", "labels_de.txt", "tfmap.json"]
    assert found["metadata"]["min_parser_version"] == "1.0.0"


def test_a_classifier_of_others(reference):
    found = contents.read(reference / "automl_labeler_model.tflite")
    assert found["format"] == "int8"
    assert sum(found["ops"].values()) == 66
    assert found["labels"] == {"": ["daisy", "dandelion", "roses", "sunflowers", "tulips"]}
    assert (found["files"], found["tfmap"]) == ({"labels.txt": 40}, None)
    assert sum(found["sizes"].values()) == 452_182


def test_a_file_without_labels(reference):
    found = contents.read(reference / "dilated_conv.tflite")
    assert (found["labels"], found["files"]) == ({}, {})
    assert found["metadata"]["name"] == "Dilated Convolution Model"
    assert found["min_runtime"]


@pytest.mark.parametrize("name", ["coco_ssd_mobilenet_v1_score_calibration", "deeplabv3", "mobilenet_v2_1.0_224_quant"])
def test_the_metadata_of_a_detector_or_segmenter_is_shown_whole(reference, name):
    value = json.loads((reference / "metadata_json" / f"{name}.json").read_text())
    bare = (reference / "dilated_conv.tflite").read_bytes()
    assert contents.read(flatbuffer.with_named_buffer(bare, metadata.BUFFER, tables.encode(value)))["metadata"] == value


def test_a_file_without_metadata(classifier):
    from tfmap.export import convert

    found = contents.read(convert.float32(classifier))
    assert (found["metadata"], found["labels"], found["tfmap"]) == (None, {}, None)


def test_labels_that_are_no_text(lite_files):
    bare = flatbuffer.with_named_buffer(lite_files["int8"], "NOTE", b"")
    broken = metadata._packed(bare, {"labels.txt": "abc"}).replace(b"abc", b"a\xffc")
    with pytest.raises(InputError, match="^the model "):
        contents.read(broken)


def test_a_tfmap_json_that_is_none(lite_files):
    bare = flatbuffer.with_named_buffer(lite_files["int8"], "NOTE", b"")
    with pytest.raises(InputError, match="^the model holds a tfmap.json that is no JSON: "):
        contents.read(metadata._packed(bare, {"tfmap.json": "{"}))


def test_numbers_that_json_lacks_become_text():
    assert contents._plain({"a": [float("inf"), 1.0, {"b": float("nan")}]}) == {"a": ["inf", 1.0, {"b": "nan"}]}


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 9281), st.integers(0, 255), st.integers(0, 9281))
@example(8, 255, 9281)
def test_a_damaged_file_is_read_or_refused(at, value, end):
    """One byte changed and the end cut off: never another error than ours."""
    from pathlib import Path

    data = bytearray((Path(__file__).parents[1] / "data" / "tflite" / "dilated_conv.tflite").read_bytes())
    data[at] = value
    for damaged in (bytes(data), bytes(data[: max(end, 8)])):
        with contextlib.suppress(InputError):
            json.dumps(contents.read(damaged), allow_nan=False)
