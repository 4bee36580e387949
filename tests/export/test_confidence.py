"""The scores of a finished file: what they are worth is measured on what the file itself says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.tasks.detectors.test_tfmap_det import body
from tfmap import calibrate, export, flatbuffer
from tfmap.export import confidence
from tfmap.litert import LiteModel
from tfmap.models.levels import marked
from tfmap.source import Boxes, Split
from tfmap.tasks.detectors import tfmap_det


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_the_file_s_own_scores_are_calibrated(lite_files, trash_split, trash_classes, name):
    shared = {"classes": trash_classes, "precision": None}
    found = confidence.fitted(lite_files[name], trash_split, task="classification", **shared)
    scores = LiteModel(lite_files[name]).predict(trash_split.images)
    step = 1 / 256 if name == "int8" else 0
    assert found == calibrate.calibrate(scores, trash_split.labels, step=step, **shared)


@pytest.mark.parametrize(("name", "step"), [("float32", 0), ("float16", 0), ("dynamic", 0), ("int8", 1 / 256)])
def test_the_step_of_the_scores_is_read_off_the_file(lite_files, name, step):
    assert confidence.step(flatbuffer.read(lite_files[name])) == step


@pytest.mark.parametrize(("name", "step"), [("int8", 1 / 256), ("int16x8", 1 / 32768)])
def test_scores_that_became_floats_again_have_the_step_of_the_integers(classifier, photos, name, step):
    from tfmap.export import convert

    options = {"output_type": "float32"} if name == "int8" else {}
    graph = flatbuffer.read(getattr(convert, name)(classifier, photos[0], **options))
    assert (graph.outputs[0].dtype, confidence.step(graph)) == ("float32", step)


def test_several_labels_a_picture(lite_files, trash_split, trash_classes):
    several = replace(trash_split, labels=np.eye(6, dtype=np.float32)[trash_split.labels])
    found = confidence.fitted(lite_files["int8"], several, classes=trash_classes, task="classification", precision=0.9)
    assert [row["support"] for row in found["classes"]] == [8] * 6
    assert all(row["precision"] >= 0.9 for row in found["classes"] if row["reached"])


@pytest.fixture(scope="module")
def detector():
    """A file that finds an object of class b in each 32 x 32 pixels of a picture, each with a score of 0.6."""
    net = tfmap_det.head(marked(body()), 3, width=8, depth=1)
    for layer in net.layers:
        if layer.name.startswith(("codes_P", "logits_P")) and layer.weights:
            layer.kernel.assign(np.zeros(layer.kernel.shape))
            layer.bias.assign(np.full(layer.bias.shape, -9.0 if layer.name.startswith("logits") else 0.0))
    net.get_layer("logits_P5_conv").bias.assign([-9.0, 0.4, -9.0])
    return export.tflite(net, classes=("a", "b", "c"), task="detection", format="float32")


def cells(*boxes):
    """A picture with objects of class b."""
    marks = np.zeros(len(boxes), bool)
    there = Boxes(np.array([0, len(boxes)]), np.float32(boxes).reshape(-1, 4), np.full(len(boxes), 1), marks, marks)
    labels, ids = np.float32([[0, 1, 0]]), np.array(["grey"], object)
    return Split("pixels", np.full((1, 64, 96, 3), 128, np.uint8), labels, ids, np.zeros(1, bool), boxes=there)


def test_boxes_are_shown_from_the_score_with_the_best_f1_on(detector):
    split = cells((0, 0, 32, 32), (32, 32, 64, 64))
    found = confidence.found(detector, split, classes=("a", "b", "c"), task="detection")
    said = 1 / (1 + np.exp(-0.4))
    assert found == {"threshold": pytest.approx(said, abs=0.01)}
    assert found["threshold"] <= said


def test_where_no_box_is_right_there_is_no_such_score(detector):
    assert confidence.found(detector, cells((1, 1, 4, 60)), classes=("a", "b", "c"), task="detection") == {}
