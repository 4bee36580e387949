"""A file that is damaged on purpose is caught, whatever its accuracy."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfmap import verify
from tfmap.errors import InputError
from tfmap.export import convert, metadata

pytestmark = pytest.mark.slow  # minutes of conversion and training on two cores


@pytest.fixture(scope="module")
def failures(classifier, trash_split, trash_classes):
    """file -> why it fails; no drop of accuracy is too large, so what is caught is caught otherwise."""

    def judge(file, **settings):
        known = {"classes": trash_classes, "budget": 100, "seconds": 0.01, **settings}
        return verify.verify(classifier, file, trash_split, **known)["failures"]

    return judge


@pytest.mark.parametrize("name", ["float32", "float16", "dynamic", "int8"])
def test_no_file_of_ours_is_suspected(failures, lite_files, name):
    assert failures(lite_files[name]) == []


def test_rewriting_alone_is_no_damage(failures, lite_files, edited):
    assert failures(edited(lite_files["int8"], lambda parsed: None)) == []


def test_swapped_labels(failures, lite_files, trash_classes):
    swapped = (trash_classes[1], trash_classes[0], *trash_classes[2:])
    (line,) = failures(metadata.attach(lite_files["int8"], metadata.Metadata(labels=swapped)))
    assert line == f"the file's labels ({', '.join(swapped[:5])}, ...) are not the data's classes."


def test_a_normalisation_that_the_model_does_itself(failures, lite_files, trash_classes):
    about = metadata.Metadata(labels=trash_classes, mean=(127.5,), std=(127.5,))
    (line,) = failures(metadata.attach(lite_files["int8"], about))
    assert line == (
        "the file's metadata has callers subtract 127.5 and divide by 127.5; the model normalises pixels of 0 to 255 "
        "itself."
    )


def test_pixels_normalised_wrongly_inside(failures, classifier, photos):
    """The same weights behind x / 255 instead of x / 127.5 - 1."""
    inputs = keras.Input((48, 48, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for layer in classifier.layers[2:]:
        x = layer(x)
    file = convert.int8(keras.Model(inputs, x), photos[0])
    assert any(line.startswith("accuracy falls by") for line in failures(file, budget=1))


def test_another_scale_of_the_input(failures, lite_files, edited):
    def halve(parsed):
        graph = parsed.subgraphs[0]
        graph.tensors[graph.inputs[0]].quantization.scale = np.float32([0.5])

    assert failures(edited(lite_files["int8"], halve), budget=1)


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_one_zeroed_channel(failures, lite_files, edited, kernel_of, op):
    def zero(parsed):
        kernel = kernel_of(parsed, -1, op)
        kernel[(..., 3) if op == "DEPTHWISE_CONV_2D" else 3] = 0

    found = failures(edited(lite_files["int8"], zero))
    count = {"CONV_2D": 32, "DEPTHWISE_CONV_2D": 32, "FULLY_CONNECTED": 6}[op]
    assert any(
        line.startswith(f"{op} ") and f"1 of {count} channels of the kernel are zero; the model's are not." in line
        for line in found
    )


def test_a_channel_that_says_the_same_to_every_picture(failures, lite_files, edited, kernel_of):
    """A bias that no sum overcomes; the kernel is whole."""

    def drown(parsed):
        graph = parsed.subgraphs[0]
        conv = next(op for op in graph.operators if len(op.inputs) == 3 and len(graph.tensors[op.inputs[1]].shape) == 4)
        buffer = parsed.buffers[graph.tensors[conv.inputs[2]].buffer]
        buffer.data = np.array(buffer.data)
        buffer.data.view(np.int32)[...] = -(2**24)

    found = failures(edited(lite_files["int8"], drown))
    assert any("channels say the same to every picture; the model's do not." in line for line in found)


def test_the_weights_of_another_training(failures, stranger, photos):
    found = failures(convert.int8(stranger, photos[0]))
    assert sum("other weights than the model's (cosine" in line for line in found) >= 4


def test_the_kernel_of_one_layer_turned_round(failures, lite_files, edited, kernel_of):
    def turn(parsed):
        kernel = kernel_of(parsed, 0, "CONV_2D")
        kernel[...] = kernel[..., ::-1, ::-1, ::-1].copy()

    (line,) = [line for line in failures(edited(lite_files["int8"], turn)) if "other weights" in line]
    assert line.startswith("CONV_2D ")


def test_a_truncated_file(failures, lite_files):
    for length in (10, 1000, len(lite_files["int8"]) // 2):
        with pytest.raises(InputError, match=r"the model is a broken TFLite file: .* Export it again, or fetch it aga"):
            failures(lite_files["int8"][:length])


def test_a_file_without_its_last_bytes(failures, lite_files):
    """The graph is whole; the labels behind it are not."""
    assert failures(lite_files["int8"][:-20]) == [
        "the file names no labels, or its end, where they are packed, is cut."
    ]


def test_report_lists_what_strict_refuses(classifier, lite_files, trash_split, trash_classes, edited, kernel_of):
    def zero(parsed):
        kernel_of(parsed, -1, "CONV_2D")[3] = 0

    file, known = edited(lite_files["int8"], zero), {"classes": trash_classes, "budget": 100, "seconds": 0.01}
    found = verify.verify(classifier, file, trash_split, mode="report", **known)
    assert (found["passed"], found["failures"]) == (True, [])
    assert any("channels of the kernel are zero" in line for line in found["findings"])
    assert verify.verify(classifier, file, trash_split, **known)["failures"] == found["findings"]
