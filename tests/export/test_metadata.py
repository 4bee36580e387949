"""Metadata: of others read, of ours written, and both refused where they are broken."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.export import metadata, tables
from tfmap.litert import LiteModel


def test_a_classifier_of_others_is_read(reference):
    found = metadata.read(reference / "automl_labeler_model.tflite")
    assert found.name == "AutoML image classifier"
    assert found.labels == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert (found.mean, found.std, found.color_space) == ((0.0,), (1.0,), "rgb")
    assert (found.input_range, found.output_range, found.files) == ((0.0, 255.0), (0.0, 1.0), ("labels.txt",))
    assert (found.translations, found.thresholds, found.temperature, found.about) == ({}, (), None, {})


def test_a_file_of_others_without_labels_is_read(reference):
    found = metadata.read(reference / "dilated_conv.tflite")
    assert found.name == "Dilated Convolution Model"
    assert (found.labels, found.files) == ((), ())


def test_what_is_attached_is_read(lite_files):
    about = metadata.Metadata(
        labels=("Äpfel", "b c", "日本", "d", "e", "f"),
        name="a name",
        description="What it does.",
        version="2.1",
        author="Someone",
        license="Apache-2.0",
        mean=(127.5,),
        std=(128.0,),
        color_space="grayscale",
        input_range=(-1.0, 1.0),
        output_range=(0.0, 255.0),
    )
    assert metadata.read(metadata.attach(lite_files["int8"], about)) == about


def test_our_files_say_that_they_normalise_themselves(lite_files, trash_classes):
    found = metadata.read(lite_files["int8"])
    assert (found.labels, found.mean, found.std) == (trash_classes, (0.0,), (1.0,))
    assert (found.color_space, found.input_range, found.output_range) == ("rgb", (0.0, 255.0), (0.0, 1.0))


def test_metadata_changes_no_answer(classifier, lite_files, photos):
    from tfmap.export import convert

    bare = LiteModel(convert.dynamic(classifier)).raw(photos[0])
    np.testing.assert_array_equal(LiteModel(lite_files["dynamic"]).raw(photos[0]), bare)


def test_attaching_again_replaces(lite_files):
    once = metadata.read(lite_files["int8"])
    assert metadata.attach(lite_files["int8"], once) == lite_files["int8"]
    other = metadata.Metadata(labels=tuple("abcdef"))
    assert metadata.read(metadata.attach(lite_files["int8"], other)) == other


def test_any_zip_reader_finds_the_labels(lite_files, trash_classes):
    with zipfile.ZipFile(io.BytesIO(lite_files["int8"])) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().split("\n") == list(trash_classes)  # no newline at the end


def test_the_number_of_labels_is_checked(lite_files):
    text = (
        "export: the model has 6 outputs but classes has 2 names. Pass one name per output, in the order of training."
    )
    with pytest.raises(InputError, match=f"^{text}$"):
        metadata.attach(lite_files["int8"], metadata.Metadata(labels=("a", "b")))


@pytest.mark.parametrize("label", ["", "two\nlines", "two\rlines", "two\u2028lines"])
def test_a_label_must_fit_a_line(lite_files, label):
    with pytest.raises(InputError, match=r"^export: class name '.*' is empty or holds a line break"):
        metadata.attach(lite_files["int8"], metadata.Metadata(labels=("a", "b", "c", "d", "e", label)))


def test_a_file_without_metadata(classifier, tmp_path):
    from tfmap.export import convert

    path = tmp_path / "bare.tflite"
    path.write_bytes(convert.float32(classifier))
    with pytest.raises(InputError, match=r"bare.tflite holds no TFLite Metadata, so its labels are unknown. Expected "):
        metadata.read(path)


@pytest.mark.parametrize("broken", [b"", b"\0\0", b"\xff\xff\xff\x7fM001", b"\x08\0\0\0M001\0\0\0\0"])
def test_broken_metadata(lite_files, broken):
    file = flatbuffer.with_named_buffer(lite_files["int8"], metadata.BUFFER, broken)
    with pytest.raises(InputError, match="^the model holds broken TFLite Metadata: "):
        metadata.read(file)


def test_one_channel_is_grey():
    import keras

    from tfmap.export import convert

    inputs = keras.Input((8, 8, 1))
    file = convert.float32(keras.Model(inputs, keras.layers.Flatten()(inputs)))
    assert metadata.color_space(file) == "grayscale"


WHOLE = metadata.Metadata(
    labels=tuple("abcdef"),
    translations={"de": ("Äpfel", "B", "C", "D", "E", "F"), "pt-BR": tuple("uvwxyz")},
    thresholds=(0.1, 0.2, 0.3, 0.4, 0.5, 1.0),
    temperature=1.5,
    about={"task": "classification", "tfmap": "1.0", "data": "sha256:00", "more": [1, {"a": None}]},
)


def test_all_that_the_standard_lacks_comes_back(lite_files):
    file = metadata.attach(lite_files["int8"], WHOLE)
    found = metadata.read(file)
    assert found == WHOLE
    assert found.files == ("labels.txt", "labels_de.txt", "labels_pt-BR.txt", "tfmap.json")
    assert json.loads(metadata.files(file)["tfmap.json"])["temperature"] == 1.5


def test_a_task_library_finds_the_translations(lite_files):
    root = metadata.as_json(metadata.attach(lite_files["int8"], WHOLE))
    (output,) = root["subgraph_metadata"][0]["output_tensor_metadata"]
    assert [(file["name"], file.get("locale")) for file in output["associated_files"]] == [
        ("labels.txt", None), ("labels_de.txt", "de"), ("labels_pt-BR.txt", "pt-BR"),
    ]  # fmt: skip
    assert {file["type"] for file in output["associated_files"]} == {"TENSOR_AXIS_LABELS"}
    assert "process_units" not in output  # thresholds of each class are none of the standard's


def test_one_threshold_for_all_is_said_as_the_standard_says_it(lite_files):
    file = metadata.attach(lite_files["int8"], metadata.Metadata(tuple("abcdef"), thresholds=(0.3,) * 6))
    (output,) = metadata.as_json(file)["subgraph_metadata"][0]["output_tensor_metadata"]
    unit = {"options_type": "ScoreThresholdingOptions", "options": {"global_score_threshold": 0.3}}
    assert output["process_units"] == [unit]
    assert metadata.read(file).thresholds == (0.3,) * 6


def test_a_threshold_of_others_counts_for_each_class(reference):
    file = reference / "automl_labeler_model.tflite"
    root = metadata.as_json(file)
    unit = {"options_type": "ScoreThresholdingOptions", "options": {"global_score_threshold": 0.25}}
    root["subgraph_metadata"][0]["output_tensor_metadata"][0]["process_units"] = [unit]
    bare = flatbuffer.with_named_buffer(file.read_bytes(), metadata.BUFFER, tables.encode(root))
    assert metadata.read(bare).labels == ()  # the zip behind the old bytes is gone
    changed = metadata._packed(bare, {"labels.txt": "a\nb\nc\nd\ne"})
    assert metadata.read(changed).thresholds == (0.25,) * 5


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"thresholds": (0.5,)}, "export: the model has 6 outputs but 1 thresholds. Pass one each."),
        ({"thresholds": (0.5,) * 5 + (1.5,)}, "export: the threshold of 'f' must be in 0..1, received 1.5."),
        ({"thresholds": (float("nan"),) * 6}, "export: the threshold of 'a' must be in 0..1, received nan."),
        ({"temperature": 0.0}, "export: temperature must be a number above 0, received 0.0."),
        ({"temperature": float("inf")}, "export: temperature must be a number above 0, received inf."),
        (
            {"translations": {"german!": tuple("abcdef")}},
            "export.label_files: 'german!' is no locale. Expected such as ",
        ),
        (
            {"translations": {"de": ("a",)}},
            "export.label_files: the labels in de have 1 lines, the model has 6 outputs. ",
        ),
        (
            {"translations": {"de": ("a",) * 5 + ("",)}},
            "export: class name '' is empty or holds a line break; labels.txt",
        ),
    ],
)
def test_what_does_not_fit_is_refused(lite_files, wrong, text):
    with pytest.raises(InputError) as error:
        metadata.attach(lite_files["int8"], metadata.Metadata(tuple("abcdef"), **wrong))
    assert str(error.value).startswith(text)


def test_label_files_are_read(tmp_path):
    (tmp_path / "de.txt").write_bytes("\ufeffPappe\r\nGlas\r\n".encode())
    assert metadata.read_translations({"de": str(tmp_path / "de.txt")}, 2) == {"de": ("Pappe", "Glas")}
    with pytest.raises(
        FileNotFoundError, match="^export.label_files: no/file.txt does not exist. Expected one class name"
    ):
        metadata.read_translations({"de": "no/file.txt"}, 2)
    (tmp_path / "latin.txt").write_bytes("Müll".encode("latin-1"))
    with pytest.raises(InputError, match="latin.txt is no UTF-8 text. Save it as UTF-8.$"):
        metadata.read_translations({"de": str(tmp_path / "latin.txt")}, 1)
    with pytest.raises(
        InputError, match="the labels in de have 2 lines, the model has 3 outputs. Write one name a line"
    ):
        metadata.read_translations({"de": str(tmp_path / "de.txt")}, 3)


@pytest.mark.parametrize("own", ["no json", "[1]", '"text"'])
def test_a_broken_tfmap_json(lite_files, own):
    bare = flatbuffer.with_named_buffer(lite_files["int8"], "NOTE", b"")
    with pytest.raises(InputError, match="^the model holds broken TFLite Metadata: "):
        metadata.read(metadata._packed(bare, {"labels.txt": "a\nb\nc\nd\ne\nf", "tfmap.json": own}))


def test_a_broken_zip(lite_files):
    whole = lite_files["int8"]
    at = whole.rindex(b"labels.txt", 0, whole.rindex(b"PK\x01\x02"))
    broken = whole[: at + 12] + b"X" + whole[at + 13 :]  # one byte of the first packed file
    with pytest.raises(InputError, match="^the model has files behind it that cannot be unpacked: Bad CRC-32"):
        metadata.files(broken)
