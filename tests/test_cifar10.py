"""The files that benchmarks/results/cifar10 holds are as good as their table says, on pictures that are shipped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfmap import flatbuffer
from tfmap.export import metadata
from tfmap.litert import LiteModel
from tfmap.verify import integers

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
FILES = sorted((RESULTS / "cifar10").glob("*.tflite"))
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(scope="module")
def pictures():
    """uint8 (400, 32, 32, 3) and int (400,)."""
    sheet = np.asarray(Image.open(HERE / "data" / "cifar10" / "pictures.png"))
    images = sheet.reshape(20, 32, 20, 32, 3).swapaxes(1, 2).reshape(400, 32, 32, 3)
    labels = (HERE / "data" / "cifar10" / "labels.txt").read_text().strip()
    return images, np.array(list(labels), int)


@pytest.fixture(scope="module")
def table():
    """File name -> row of the benchmark."""
    rows = json.loads((RESULTS / "cifar10.json").read_text())["rows"]
    return {row["file"]: row for row in rows}


def test_there_are_files():
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_file_is_what_its_table_says(file, pictures, table):
    images, labels = pictures
    row, content = table[file.name], file.read_bytes()
    assert len(content) == row["bytes"]
    right = int((LiteModel(content).predict(images).argmax(1) == labels).sum())
    # Another processor's kernels may round another way.
    assert abs(right - row["right of the first 400"]) <= 2
    graph = flatbuffer.read(content)
    assert integers.findings(graph) == []
    assert len(graph.float_tensors()) == row["float tensors"] == 0
    assert metadata.read(content).labels == CLASSES


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_pictures_of_another_range_are_not_recognised(file, pictures):
    images, labels = pictures
    right = (LiteModel(file.read_bytes()).predict(images // 8).argmax(1) == labels).mean()
    assert right < 0.6
