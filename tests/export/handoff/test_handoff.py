"""The kit as a whole: what is in it, that its sums hold, and that its Python answers as the file does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tfmap import calibrate
from tfmap.errors import InputError
from tfmap.export import handoff, metadata
from tfmap.litert import LiteModel
from tfmap.runs import Run


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def classify(kit, *arguments):
    command = [sys.executable, str(kit / "python" / "classify.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_everything_is_there(kit, whole_file, trash_classes):
    assert names(kit) == sorted([
        "README.md", "SHA256SUMS", "android/LiteRtClassifier.kt", "android/TasksClassifier.kt", "golden.npz",
        *(f"golden/{i:02}.png" for i in range(10)), "golden/golden.json", "ios/Classifier.swift", "labels.txt",
        "labels_de.txt", "model.tflite", "python/classify.py", "web/classifier.js", "web/index.html",
        "web/package.json", "web/page.js", "web/serve.py", "web/style.css", "web/view.js",
    ])  # fmt: skip
    assert (kit / "model.tflite").read_bytes() == whole_file
    assert (kit / "labels.txt").read_text().splitlines() == list(trash_classes)
    assert (kit / "labels_de.txt").read_text().splitlines() == list("ABCDEF")


def test_the_sums_hold_and_name_every_file(kit):
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=kit, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    listed = [line.split("  ", 1)[1] for line in (kit / "SHA256SUMS").read_text().splitlines()]
    assert listed == [name for name in names(kit) if name != "SHA256SUMS"]


def test_a_changed_file_is_noticed(kit, tmp_path):
    shutil.copytree(kit, tmp_path / "kit")
    (tmp_path / "kit" / "labels.txt").write_text("swapped\n")
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "kit", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "labels.txt: FAILED" in done.stdout


def test_the_python_snippet_gives_the_golden_answers(any_kit):
    done = classify(any_kit, "--golden")
    assert (done.returncode, done.stdout) == (0, "10 of 10 vectors agree; the largest difference is 0\n"), done.stderr


def test_the_python_snippet_names_a_picture(kit, trash_classes):
    picture = kit / "golden" / "00.png"
    golden = json.loads((kit / "golden" / "golden.json").read_text())
    done = classify(kit, picture, picture)
    assert done.returncode == 0, done.stderr
    one, two = done.stdout.splitlines()
    assert one == two
    own = calibrate.within([golden["vectors"][0]["scores"]], 1 / 256)
    label, score = one.removeprefix(f"{picture}: ").split()[:2]
    assert label == golden["vectors"][0]["label"]
    assert float(score) == pytest.approx(calibrate.scaled(own, 1.5).max(), abs=6e-4)  # 1.5: the file's temperature


def test_another_file_does_not_give_the_golden_answers(kit, lite_files, tmp_path):
    shutil.copytree(kit, tmp_path / "kit")
    (tmp_path / "kit" / "model.tflite").write_bytes(lite_files["int8"])
    with np.load(kit / "golden.npz") as golden:
        arrays = dict(golden)
    arrays["outputs"] = np.roll(arrays["outputs"], 1, axis=1)
    np.savez(tmp_path / "kit" / "golden.npz", **arrays)
    done = classify(tmp_path / "kit", "--golden")
    assert done.returncode == 1
    assert done.stdout.startswith("0 of 10 vectors agree")


def test_called_with_nothing_it_explains_itself(kit):
    done = classify(kit)
    assert done.returncode == 2
    assert "--golden" in done.stdout


def test_a_kit_is_replaced_and_what_npm_installed_stays(lite_files, make_kit, trash_split, trash_classes):
    from tfmap.export import golden

    folder = make_kit(lite_files["int8"])
    (folder / "old.txt").write_text("old")
    (folder / "web" / "node_modules").mkdir()
    (folder / "web" / "node_modules" / "x.js").write_text("x")
    vectors = golden.vectors(lite_files["float32"], trash_split, classes=trash_classes, count=3)
    handoff.write(folder, lite_files["float32"], vectors)
    assert "old.txt" not in names(folder)
    assert (folder / "web" / "node_modules" / "x.js").read_text() == "x"
    assert "node_modules" not in (folder / "SHA256SUMS").read_text()
    assert sorted(path.name for path in (folder / "golden").glob("*.png")) == ["00.png", "01.png", "02.png"]


def test_no_path_of_this_machine_leaves_it(lite_files, tmp_path, trash_split, trash_classes):
    from tfmap.export import golden

    vectors = golden.vectors(lite_files["int8"], trash_split, classes=trash_classes, count=2)
    vectors["ids"] = np.array(["/home/me/secret/trash/glass/glass1.jpg", "C.jpg"])
    handoff.write(tmp_path / "kit", lite_files["int8"], vectors)
    with np.load(tmp_path / "kit" / "golden.npz") as found:
        assert found["ids"].tolist() == ["glass/glass1.jpg", "C.jpg"]
    assert not [name for name in names(tmp_path / "kit") if b"secret" in (tmp_path / "kit" / name).read_bytes()]


def test_the_same_file_makes_the_same_kit(kit, make_kit, whole_file):
    again = make_kit(whole_file)
    assert (again / "SHA256SUMS").read_text() == (kit / "SHA256SUMS").read_text()


def test_a_run_gets_its_numbers(tmp_path, lite_files, trash_split, trash_classes):
    from tfmap.export import golden

    run = Run(tmp_path)
    run.write_bytes("model.tflite", lite_files["int8"])
    vectors = golden.vectors(lite_files["int8"], trash_split, classes=trash_classes, count=2)
    golden.write(run.file("golden.npz"), vectors)
    metric = {"name": "accuracy", "keras": 0.9, "file": 0.895, "drop_points": 0.5, "budget": 1.0}
    run.write_json("verify.json", {"passed": True, "failures": [], "metric": metric, "examples": 1200})
    handoff.refresh(run)
    page = (tmp_path / "handoff" / "README.md").read_text()
    assert "| accuracy of this file | 0.8950 (-0.50 points) |" in page
    assert "| verdict | passed |" in page
    with np.load(tmp_path / "handoff" / "golden.npz") as found:
        np.testing.assert_array_equal(LiteModel(lite_files["int8"]).raw(found["images"]), found["outputs"])


def test_a_file_without_labels(tmp_path, reference, lite_files, trash_split, trash_classes):
    from tfmap import flatbuffer
    from tfmap.export import golden

    vectors = golden.vectors(lite_files["int8"], trash_split, classes=trash_classes, count=1)
    bare = flatbuffer.with_named_buffer(lite_files["int8"], "NOTE", b"")  # the packed labels are gone
    with pytest.raises(InputError, match="^export: a hand-off kit needs labels, the file holds none. Export it with "):
        handoff.write(tmp_path / "kit", bare, vectors)
    assert not (tmp_path / "kit").exists()


def test_a_border_that_no_snippet_knows(tmp_path, lite_files):
    from tfmap.export.handoff import facts
    from tfmap.graph import Tensor

    with pytest.raises(
        InputError, match="the hand-off kit knows inputs and outputs of uint8, int8, float32, in is int16"
    ):
        facts._tensor(Tensor("in", "int16", (1, 2), (), (), 0, 0))
    assert metadata.read(lite_files["int8"]).labels


def test_a_class_below_its_threshold_is_not_named(lite_files, make_kit, trash_classes):
    """The file's own score counts, whatever the temperature makes of it."""
    thresholds = (1.0,) * 5 + (0.0,)
    kit = make_kit(
        metadata.attach(lite_files["int8"], metadata.Metadata(trash_classes, thresholds=thresholds, temperature=3.0))
    )
    done = classify(kit, kit / "golden" / "00.png")
    assert done.stdout.removeprefix(f"{kit / 'golden' / '00.png'}: ").split()[0] == trash_classes[5]
    assert len(done.stdout.removeprefix(f"{kit / 'golden' / '00.png'}: ").split()) == 2
