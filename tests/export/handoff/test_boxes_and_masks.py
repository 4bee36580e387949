"""Kits of detectors and segmenters: texts read as they were meant, a Python program that answers as the file."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import tree_sitter
import tree_sitter_kotlin
import tree_sitter_swift
from PIL import Image

import tfmap
from tests.export.handoff.test_handoff import names
from tests.export.handoff.test_pages import errors, texts
from tests.tasks.detectors.test_tfmap_det import body
from tfmap import export, tasks
from tfmap.export import golden, handoff, metadata
from tfmap.litert import LiteModel
from tfmap.models.levels import marked
from tfmap.tasks.detectors import tfmap_det
from tfmap.tasks.segmenters import tfmap_seg

HEADS = {"detection": tfmap_det.head, "segmentation": tfmap_seg.head}
SNIPPETS = {"detection": ("Detector", "detect.py"), "segmentation": ("Segmenter", "segment.py")}
CASES = {"detection": ("detection", False), "segmentation": ("segmentation", False), "classes": ("segmentation", True)}
KINDS = ('$a"', "b\\c", "it's")


def untrained(task, factor, *, class_map=False):
    """The file of a network whose last kernels are so many times as large."""
    net = HEADS[task](marked(body()), 3, width=16)
    for layer in net.layers:
        if layer.name.startswith(("logits_", "scores_conv")) and layer.weights:
            layer.kernel.assign(layer.kernel * factor)
    return export.tflite(net, classes=KINDS, task=task, format="float32", class_map=class_map)


@pytest.fixture(scope="module", params=CASES)
def made(request, tmp_path_factory):
    """A task's name, the file of an untrained network, and its kit."""
    task, class_map = CASES[request.param]
    file = untrained(task, 40, class_map=class_map)  # or every score would be the same
    folder = tmp_path_factory.mktemp(task) / "handoff"
    source = tfmap.load("sample:cells").split("val")
    handoff.write(folder, file, golden.vectors(file, source, classes=KINDS, task=task, count=3))
    return task, file, folder


def says_classes(file):
    return metadata.read(file).about.get("class_map", False)


def test_everything_is_there(made):
    task, file, kit = made
    kind, snippet = SNIPPETS[task]
    tasks_alone = [] if says_classes(file) else [f"android/Tasks{kind}.kt", f"ios/{kind}.swift"]
    pictures = [f"golden/{i:02}{end}.png" for i in range(3) for end in ("", *["_mask"] * (task == "segmentation"))]
    assert names(kit) == sorted([
        "README.md", "SHA256SUMS", f"android/LiteRt{kind}.kt", *tasks_alone, "golden.npz", *pictures,
        "golden/golden.json", "labels.txt", "model.tflite", f"python/{snippet}",
        f"web/{kind.lower()}.js",
        *(f"web/{name}" for name in ("index.html", "package.json", "page.js", "serve.py", "style.css", "view.js")),
    ])  # fmt: skip
    assert (kit / "model.tflite").read_bytes() == file


def test_texts_are_filled_in(made):
    _, _, kit = made
    for name, text in texts(kit).items():
        assert not re.search(r"\{%|%\}|\{\{", text), name
        assert "Undefined" not in text, name
        assert all(not line.endswith(" ") for line in text.splitlines()), name
        if name.endswith(".py"):
            ast.parse(text)
            assert name == "web/serve.py" or all(repr(kind) in text for kind in KINDS)
    readme = (kit / "README.md").read_text()
    assert all((kit / name).exists() for name in re.findall(r"^\| ((?:android|ios|python)/\S+) \|", readme, re.M))


@pytest.mark.parametrize(("suffix", "grammar"), [(".kt", tree_sitter_kotlin), (".swift", tree_sitter_swift)])
def test_kotlin_and_swift_parse(made, suffix, grammar):
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    found = {name: text for name, text in texts(made[2]).items() if name.endswith(suffix)}
    assert found or (suffix == ".swift" and says_classes(made[1]))
    for name, text in found.items():
        assert errors(parser.parse(text.encode()).root_node) == [], name


def snippet(kit, task, *arguments):
    command = [sys.executable, str(kit / "python" / SNIPPETS[task][1]), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_python_snippet_gives_the_golden_answers(made):
    task, _, kit = made
    done = snippet(kit, task, "--golden")
    assert (done.returncode, done.stdout) == (0, "3 of 3 vectors agree; the largest difference is 0\n"), done.stderr


def test_another_file_does_not(made, tmp_path):
    task, _, kit = made
    for path in kit.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(kit)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (tmp_path / "model.tflite").write_bytes(untrained(task, -40, class_map=says_classes(kit / "model.tflite")))
    assert snippet(tmp_path, task, "--golden").returncode == 1


def test_it_finds_what_the_file_finds_and_draws_it(made, tmp_path):
    """On a picture of the model's size, so that resizing has no say."""
    task, file, kit = made
    with np.load(kit / "golden.npz") as vectors:
        picture = vectors["images"][0]
    Image.fromarray(picture).save(tmp_path / "one.png")
    done = snippet(kit, task, tmp_path / "one.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "one_found.png") as drawn:
        assert drawn.size == picture.shape[1::-1]
    decode = tasks.get(task).decode
    (answer,) = decode(LiteModel(file).predict(picture[None]), **tasks.accepted(decode, size=picture.shape[:2]))
    if task == "detection":
        kept = answer.classes[answer.scores >= 0.3]
        counts = [f"{n} {KINDS[k]}" for k, n in enumerate(np.bincount(kept, minlength=3)) if n]
        assert done.stdout.strip().endswith(", ".join(counts) or "nothing")
    else:
        shares = np.bincount(answer.ravel(), minlength=3) / answer.size
        assert all(f"{KINDS[k]} {share:.0%}" in done.stdout for k, share in enumerate(shares) if share)


def test_golden_json_says_what_the_file_answers(made):
    task, file, kit = made
    golden_json = json.loads((kit / "golden" / "golden.json").read_text())
    for vector in golden_json["vectors"]:
        with Image.open(kit / "golden" / vector["image"]) as image:
            outputs = LiteModel(file).predict(np.asarray(image)[None])
        if task == "detection":
            assert golden_json["output"] == ["boxes", "classes", "scores", "count"]
            for name, values in vector["outputs"].items():
                np.testing.assert_array_equal(np.float32(values), outputs[name][0])
        else:
            with Image.open(kit / "golden" / vector["mask"]) as mask:
                np.testing.assert_array_equal(np.asarray(mask), tasks.get(task).decode(outputs)[0])


def test_called_with_nothing_it_explains_itself(made):
    done = snippet(made[2], made[0])
    assert done.returncode == 2
    assert "--golden" in done.stdout
