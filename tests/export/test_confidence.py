"""The scores of a finished file: what they are worth is measured on what the file itself says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tfmap import calibrate
from tfmap.export import confidence
from tfmap.litert import LiteModel


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_the_file_s_own_scores_are_calibrated(lite_files, trash_split, trash_classes, name):
    shared = {"classes": trash_classes, "precision": None}
    found = confidence.fitted(lite_files[name], trash_split, task="classification", format=name, **shared)
    scores = LiteModel(lite_files[name]).predict(trash_split.images)
    step = 1 / 256 if name == "int8" else 0
    assert found == calibrate.calibrate(scores, trash_split.labels, step=step, **shared)


def test_several_labels_a_picture(lite_files, trash_split, trash_classes):
    several = replace(trash_split, labels=np.eye(6, dtype=np.float32)[trash_split.labels])
    found = confidence.fitted(
        lite_files["int8"], several, classes=trash_classes, task="classification", format="int8", precision=0.9
    )
    assert [row["support"] for row in found["classes"]] == [8] * 6
    assert all(row["precision"] >= 0.9 for row in found["classes"] if row["reached"])
