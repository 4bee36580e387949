"""The file in MediaPipe Tasks. Skipped where the package mediapipe is not installed: no extra of ours brings it."""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest

import tfmap
from tests.tasks.detectors.test_tfmap_det import body
from tfmap import export, verify
from tfmap.average_precision import Found
from tfmap.errors import InputError
from tfmap.export import convert, metadata, representative
from tfmap.models.levels import marked
from tfmap.tasks.detectors import mask_rcnn, tfmap_det
from tfmap.tasks.segmenters import tfmap_seg
from tfmap.verify import clients

KINDS = ("a", "b", "c")


def needs_mediapipe():
    return pytest.importorskip("mediapipe", reason="pip install mediapipe==1.2.2 to run this", exc_type=ImportError)


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_an_app_gets_our_labels_and_our_scores(lite_files, photos, trash_classes, name):
    needs_mediapipe()
    found = clients.check(lite_files[name], photos[0][::6], trash_classes)
    assert found["findings"] == []
    assert found["difference"] <= clients.BOUND
    assert found["client"].startswith("MediaPipe Tasks ")


def test_other_labels_are_found(lite_files, photos, trash_classes):
    needs_mediapipe()
    other = metadata.attach(lite_files["int8"], metadata.Metadata(labels=("x", *trash_classes[1:])))
    found = clients.check(other, photos[0][:2], trash_classes)
    assert found["findings"] == ["MediaPipe Tasks names 'x', which are none of the classes."]


def test_swapped_labels_are_other_scores(lite_files, photos, trash_classes):
    needs_mediapipe()
    other = metadata.attach(lite_files["int8"], metadata.Metadata(labels=trash_classes[::-1]))
    (line,) = clients.check(other, photos[0][:6], trash_classes)["findings"]
    assert line.startswith("MediaPipe Tasks gives other scores: they differ by up to ")


def test_a_file_that_it_refuses(classifier, photos, trash_classes):
    needs_mediapipe()
    bare = convert.float32(classifier, input_type="float32")  # floats need metadata that says how to normalise
    found = clients.check(bare, photos[0][:2], trash_classes)
    assert found["difference"] is None
    assert found["findings"][0].startswith("MediaPipe Tasks refuses the file: ")


def test_verify_asks_it_where_it_is_told_to(classifier, lite_files, trash_split, trash_classes):
    needs_mediapipe()
    known = {"classes": trash_classes, "budget": 5, "seconds": 0.01}
    found = verify.verify(classifier, lite_files["int8"], trash_split, clients=True, **known)
    assert found["passed"]
    assert found["clients"]["difference"] <= clients.BOUND


@pytest.fixture(scope="module")
def boxes():
    """A detector's float32 file, whose scores are spread over all of 0..1, and pictures for it."""
    needs_mediapipe()
    keras.utils.set_random_seed(0)
    net = tfmap_det.head(marked(body()), 3, width=16, depth=1)
    for layer in net.layers:
        if layer.name.startswith(("logits_", "codes_")) and layer.weights:
            layer.kernel.assign(layer.kernel * 40)
    return export.tflite(net, classes=KINDS, task="detection", format="float32"), _crops(net)


@pytest.fixture(scope="module")
def masks():
    """A segmenter's file, and pictures for it."""
    needs_mediapipe()
    keras.utils.set_random_seed(0)
    net = tfmap_seg.head(marked(body()), 3, width=16)
    return export.tflite(net, classes=KINDS, task="segmentation", format="float32"), _crops(net)


def _crops(net):
    source = tfmap.load("sample:cells").split("val").take(np.arange(4))
    prepare = "segmentation" if len(net.outputs) == 1 else "detection"
    return representative.pictures(source, shape=net.input_shape[1:], task=prepare)[0]


def test_an_app_finds_our_boxes(boxes):
    found = clients.check(*boxes, KINDS, "detection")
    assert found["findings"] == []
    assert found["difference"] <= clients.BOUND
    assert found["overlap"] >= clients.OVERLAP


def test_an_app_sees_our_masks(masks):
    found = clients.check(*masks, KINDS, "segmentation")
    assert found["findings"] == []
    assert found["difference"] == 0
    assert found["unit"] == "pixels"


def test_boxes_of_other_labels_are_found(boxes):
    found = clients.check(*boxes, ("x", *KINDS[1:]), "detection")
    assert found["findings"] == ["MediaPipe Tasks names 'a', which are none of the classes."]


PLACES = np.array([[0, 0, 8, 8], [4, 4, 20, 20]], "float32")
A = Found(PLACES, np.array([0.9, 0.5], "float32"), np.array([0, 1], "int32"))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, ""),
        ({"scores": A.scores - 0.01}, "gives other scores: they differ by up to 0.0100; the bound is 0.0001."),
        ({"classes": A.classes[::-1]}, "gives other scores: they differ by up to 0.4000"),
        (
            {"boxes": A.boxes + np.float32([0, 0, 0, 1])},
            "places boxes elsewhere: IoU with ours down to 0.889; least is 0.95.",
        ),
    ],
)
def test_what_is_other_than_ours_is_told(change, line):
    found = clients._boxes([_row(A)], [A._replace(**change)], KINDS)
    assert [one.removeprefix("MediaPipe Tasks ").startswith(line) for one in found["findings"]] == [True] * bool(line)


def test_another_number_of_boxes_is_told():
    found = clients._boxes([_row(A), []], [A, A], KINDS)
    assert found["findings"] == ["MediaPipe Tasks finds another number of boxes in 1 of 2 pictures."]


def test_other_pixels_are_told():
    ours = np.zeros((1, 10, 10), "uint8")
    found = clients._masks(np.eye(10, dtype="uint8")[None], list(ours), KINDS)
    assert found["findings"] == [
        "MediaPipe Tasks sees another class at up to 10.00% of a picture's pixels; the bound is 0.5%."
    ]


def _row(found):
    return [(KINDS[kind], score, box) for box, score, kind in zip(*map(np.ndarray.tolist, found[:3]), strict=True)]


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("clients", "verify.clients asks MediaPipe Tasks, which has none for instances"),
        ("browser", "verify.browser runs the page of a hand-off kit, and there are no kits for instances"),
    ],
)
def test_a_client_for_instances_there_is_not(who, words):
    source = tfmap.load("sample:nuclei", target="instances").split("val")
    net = mask_rcnn.head(marked(body()), 1, width=8, proposals=4)
    with pytest.raises(InputError, match=words):
        verify.verify(net, b"", source, classes=("nucleus",), task="instances", **{who: True})


def test_without_the_package_it_says_what_to_install(monkeypatch, classifier, lite_files, trash_split, trash_classes):
    monkeypatch.setitem(sys.modules, "mediapipe", None)  # as Python does for a module that cannot be imported
    with pytest.raises(
        InputError, match=r"the package mediapipe is not installed here .* Install it: pip install media"
    ):
        verify.verify(classifier, lite_files["int8"], trash_split, classes=trash_classes, clients=True)


def test_grey_pictures_are_none_of_its(monkeypatch, lite_files, photos, trash_classes):
    needs_mediapipe()
    with pytest.raises(InputError, match="MediaPipe Tasks takes pictures in colour, the model 1 channel"):
        clients.check(lite_files["int8"], photos[0][:1, :, :, :1], trash_classes)
