"""Predict: labels from inside the file, one line for each picture, broken ones among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfmap import predict
from tfmap.errors import InputError
from tfmap.export import metadata
from tfmap.litert import LiteModel
from tfmap.runs import Run

REFERENCE = Path(__file__).parent / "data" / "tflite"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, lite_files, photos):
    """model.tflite, and pictures that the model knows: one of each class as PNG, so that no pixel changes."""
    folder = tmp_path_factory.mktemp("predict")
    (folder / "model.tflite").write_bytes(lite_files["int8"])
    (folder / "pictures" / "more").mkdir(parents=True)
    for k, at in enumerate(range(0, 48, 8)):
        Image.fromarray(photos[0][at]).save(folder / "pictures" / f"{k}.png")
    Image.fromarray(photos[0][8]).convert("RGBA").save(folder / "pictures" / "more" / "alpha.PNG")
    (folder / "pictures" / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def broken(tmp_path):
    """A file cut short, an empty one and a text."""
    whole = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(whole).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:800])
    (tmp_path / "empty.jpg").write_bytes(b"")
    return tmp_path


def test_pictures_are_named_as_the_file_scores_them(folder, photos, trash_classes):
    found = predict.predict(folder / "model.tflite", [folder / "pictures" / f"{k}.png" for k in range(6)], top_k=2)
    scores = LiteModel(folder / "model.tflite").predict(photos[0][::8])
    assert [len(row["classes"]) for row in found] == [2] * 6
    assert [row["classes"][0]["label"] for row in found] == [trash_classes[k] for k in scores.argmax(1)]
    assert [row["classes"][0]["score"] for row in found] == scores.max(1).tolist()
    assert found[3]["picture"] == str(folder / "pictures" / "3.png")


def test_a_folder_stands_for_its_pictures(folder):
    found = predict.predict(folder / "model.tflite", [folder / "pictures"])
    names = [str(Path(row["picture"]).relative_to(folder / "pictures")) for row in found]
    assert names == ["0.png", "1.png", "2.png", "3.png", "4.png", "5.png", "more/alpha.PNG"]
    assert found[6]["classes"] == found[1]["classes"]  # the same picture, with an opaque alpha channel


def test_a_classifier_sees_a_whole_picture_at_once(folder):
    with pytest.raises(
        InputError, match="predict: windows are for boxes and masks; what a whole picture is, classific"
    ):
        predict.predict(folder / "model.tflite", [folder / "pictures"], windows=0.25)


def test_a_run_folder_stands_for_its_file(folder):
    pictures = [folder / "pictures" / "0.png"]
    assert predict.predict(folder, pictures) == predict.predict(folder / "model.tflite", pictures)


def test_broken_pictures_are_named_and_the_others_predicted(folder, broken):
    good = folder / "pictures" / "0.png"
    found = predict.predict(folder, [broken / "cut.jpg", good, broken / "empty.jpg", broken / "missing.jpg"])
    assert [sorted(row) for row in found] == [["error", "picture"], ["classes", "picture"], *[["error", "picture"]] * 2]
    assert "truncated" in found[0]["error"]
    assert found[2]["error"] == "is empty (0 bytes)"
    assert found[3]["error"] == "No such file or directory"
    assert found[1] == predict.predict(folder, [good])[0]


def test_only_broken_pictures(folder, broken):
    assert [row["error"] for row in predict.predict(folder, [broken / "empty.jpg"])] == ["is empty (0 bytes)"]


def test_the_command_prints_what_it_can_and_fails_at_the_end(folder, broken, capsys):
    config = {"model": str(folder), "pictures": [broken / "empty.jpg", folder / "pictures" / "0.png"], "top_k": 1}
    with pytest.raises(InputError, match="^1 of 2 pictures could not be read; the reasons stand above.$"):
        predict.command(config, Run(folder))
    said = capsys.readouterr()
    assert said.err == f"{broken / 'empty.jpg'}: is empty (0 bytes)\n"
    assert said.out.startswith(f"{folder / 'pictures' / '0.png'}: cardboard ")


def test_the_command_succeeds(folder, capsys):
    predict.command({"model": str(folder), "pictures": [folder / "pictures"], "top_k": 3}, Run(folder))
    assert len(capsys.readouterr().out.splitlines()) == 7


def test_no_top_k(folder):
    with pytest.raises(InputError, match="^predict: top_k must be at least 1, received 0.$"):
        predict.predict(folder, [folder / "pictures"], top_k=0)


def test_a_folder_without_pictures(folder, tmp_path):
    with pytest.raises(InputError, match=r"^predict: folder .* holds no pictures \(.jpg, .jpeg, "):
        predict.predict(folder, [tmp_path])


def test_models_that_are_refused(folder, tmp_path, classifier, lite_files):
    picture = [folder / "pictures" / "0.png"]
    with pytest.raises(FileNotFoundError, match="holds no model.tflite. Export one: python -m tfmap.export "):
        predict.predict(tmp_path, picture)
    with pytest.raises(FileNotFoundError, match="no.tflite does not exist. Expected a .tflite file."):
        predict.predict(tmp_path / "no.tflite", picture)
    with pytest.raises(
        InputError, match="predict takes a .tflite file, which holds its labels, received .*model.keras"
    ):
        predict.predict(tmp_path / "model.keras", picture)
    with pytest.raises(
        InputError, match="dilated_conv.tflite holds no labels, so its scores have no names. Export it a"
    ):
        predict.predict(REFERENCE / "dilated_conv.tflite", picture)


def test_a_classifier_of_others(photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    (row,) = predict.predict(REFERENCE / "automl_labeler_model.tflite", [tmp_path / "photo.png"], top_k=5)
    labels = metadata.read(REFERENCE / "automl_labeler_model.tflite").labels
    assert {item["label"] for item in row["classes"]} == set(labels)
    assert sum(item["score"] for item in row["classes"]) == pytest.approx(1, abs=0.02)


def test_a_file_that_has_not_passed_is_not_taken_unasked(folder, tmp_path):
    waiting = Run(tmp_path).candidate()
    waiting.write_bytes("model.tflite", (folder / "model.tflite").read_bytes())
    text = f"{tmp_path} holds no model.tflite that has passed. Verify the one that waits: python -m tfmap.verify "
    with pytest.raises(FileNotFoundError, match=text):
        predict.predict(tmp_path, [folder / "pictures"])
    assert len(predict.predict(waiting.path, [folder / "pictures"])) == 7
