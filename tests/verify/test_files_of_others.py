"""Files that others made: those that run are verified like ours, those that cannot run are refused in a line.

Source and licence of the files: tests/data/tflite/LICENSE.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tfmap import flatbuffer, verify
from tfmap.errors import InputError
from tfmap.litert import LiteModel
from tfmap.verify import alignment, kernels, layers, runtimes

REFERENCE = Path(__file__).parents[1] / "data" / "tflite"
LABELER = REFERENCE / "automl_labeler_model.tflite"


def test_a_full_integer_file_of_others_runs_everywhere_alike():
    picture = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    data = LABELER.read_bytes()
    found = runtimes.compare(data, picture, format=flatbuffer.read(data).format)
    assert found["findings"] == []


def test_beside_itself_it_has_lost_nothing():
    picture = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    data, graph = LABELER.read_bytes(), flatbuffer.read(LABELER)
    pairs = alignment.pairs(graph, graph)
    assert len(pairs) == sum(op.name not in ("QUANTIZE", "DEQUANTIZE", "CAST") for op in graph.ops)
    assert kernels.compare(pairs, graph, graph)["least_cosine"] == pytest.approx(1)
    assert layers.compare(pairs, data, data, picture)["median_db"] == layers.MOST


def test_a_file_whose_numbers_point_outside_itself(classifier, trash_split, trash_classes):
    path = REFERENCE / "model_invoking_error.tflite"
    text = f"{path} is a broken TFLite file: list index out of range. It is cut, or points outside itself. Export it "
    with pytest.raises(InputError, match=f"^{re.escape(text)}"):
        verify.verify(classifier, path, trash_split, classes=trash_classes)


def test_a_file_of_another_task(classifier, trash_split, trash_classes):
    with pytest.raises(InputError, match=r"automl_labeler_model.tflite has \d+ outputs, the data 6 classes"):
        verify.verify(classifier, LABELER, trash_split, classes=trash_classes)
    assert LiteModel(LABELER).input_shape == (1, 224, 224, 3)
