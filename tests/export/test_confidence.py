"""The scores of a finished file: what they are worth is measured on what the file itself says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tfmap import calibrate, flatbuffer
from tfmap.export import confidence
from tfmap.litert import LiteModel


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
