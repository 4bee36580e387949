"""Metadata: of others read, of ours written, and both refused where they are broken."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.export import metadata
from tfmap.litert import LiteModel


def test_a_classifier_of_others_is_read(reference):
    found = metadata.read(reference / "automl_labeler_model.tflite")
    assert found.name == "AutoML image classifier"
    assert found.labels == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert (found.mean, found.std, found.color_space) == ((0.0,), (1.0,), "rgb")
    assert (found.input_range, found.output_range, found.files) == ((0.0, 255.0), (0.0, 1.0), ("labels.txt",))


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
