"""Golden vectors as PNG and JSON."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

from tfmap.export.handoff import facts, pictures
from tfmap.litert import LiteModel


def test_pictures_and_numbers_are_the_vectors(any_kit):
    golden = json.loads((any_kit / "golden" / "golden.json").read_text())
    with np.load(any_kit / "golden.npz") as found:
        vectors = dict(found)
    assert len(golden["vectors"]) == len(vectors["images"]) == 10
    for i, row in enumerate(golden["vectors"]):
        image = np.asarray(Image.open(any_kit / "golden" / row["image"]))
        np.testing.assert_array_equal(image.reshape(vectors["images"][i].shape), vectors["images"][i])
        assert row["outputs"] == json.loads(json.dumps(vectors["outputs"][i].tolist())) or np.array_equal(
            np.float32(row["outputs"]), vectors["outputs"][i]
        )
        np.testing.assert_array_equal(np.float32(row["scores"]), vectors["scores"][i])
        assert row["label"] == golden["labels"][int(np.argmax(row["scores"]))]


def test_a_picture_from_disk_gives_the_golden_outputs(any_kit):
    golden = json.loads((any_kit / "golden" / "golden.json").read_text())
    model = LiteModel(any_kit / "model.tflite")
    image = np.asarray(Image.open(any_kit / "golden" / "03.png")).reshape(1, *model.input_shape[1:])
    np.testing.assert_array_equal(model.predict(image)[0], np.float32(golden["vectors"][3]["scores"]))


def test_grey_pictures(tmp_path, files):
    vectors = {
        "images": np.arange(32, dtype=np.uint8).reshape(2, 4, 4, 1),
        "outputs": np.zeros((2, 6), np.uint8),
        "scores": np.zeros((2, 6), np.float32),
        "labels": np.array(["a", "b"]),
        "ids": np.array(["x", "y"]),
    }
    pictures.write(tmp_path / "golden", vectors, facts.of(files["int8"], 2))
    image = Image.open(tmp_path / "golden" / "01.png")
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), vectors["images"][1, ..., 0])
