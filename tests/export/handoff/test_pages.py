"""The snippets: filled in for every kind of file, with literals that their languages read as they were meant."""

from __future__ import annotations

import ast
import json
import re
import subprocess

import numpy as np
import pytest
import tree_sitter
import tree_sitter_kotlin
import tree_sitter_swift
from hypothesis import given
from hypothesis import strategies as st

from tfmap import calibrate, flatbuffer
from tfmap.export import confidence, metadata
from tfmap.export.handoff import facts, pages


def texts(kit):
    found = [path for path in kit.rglob("*") if path.suffix in (".kt", ".swift", ".js", ".py", ".md", ".html", ".css")]
    return {path.relative_to(kit).as_posix(): path.read_text() for path in found}


def test_nothing_is_left_of_the_templates(any_kit):
    for name, text in texts(any_kit).items():
        assert not re.search(r"\{%|%\}|\{\{", text), name
        assert "Undefined" not in text, name
        assert all(not line.endswith(" ") for line in text.splitlines()), name


@pytest.mark.parametrize(("suffix", "grammar"), [(".kt", tree_sitter_kotlin), (".swift", tree_sitter_swift)])
def test_kotlin_and_swift_parse(any_kit, suffix, grammar):
    """By their grammars: no compiler of either is at hand."""
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    found = {name: text for name, text in texts(any_kit).items() if name.endswith(suffix)}
    assert found
    for name, text in found.items():
        assert errors(parser.parse(text.encode()).root_node) == [], name


def errors(node):
    """Line and text of what fits nowhere in a syntax tree, or is missing in it."""
    if node.type == "ERROR" or node.is_missing:
        return [(node.start_point[0] + 1, node.text.decode()[:60])]
    return [error for child in node.children for error in errors(child)]


def test_what_is_no_kotlin_is_found():
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_kotlin.language()))
    assert errors(parser.parse(b"fun f() {\n    val x = \n}}").root_node)


def test_python_and_javascript_compile(any_kit, tmp_path):
    for name, text in texts(any_kit).items():
        if name.endswith(".py"):
            ast.parse(text)
        if name.endswith(".js"):
            (tmp_path / "code.mjs").write_text(text)
            command = ["node", "--check", str(tmp_path / "code.mjs")]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, done.stderr
    if (any_kit / "web").exists():
        json.loads((any_kit / "web" / "package.json").read_text())


def test_kotlin_and_swift_hold_the_facts(kit, whole_file, trash_classes):
    told = facts.of(whole_file, 10)
    kotlin, swift = (kit / "android/LiteRtClassifier.kt").read_text(), (kit / "ios/Classifier.swift").read_text()
    assert "const val WIDTH = 48\n" in kotlin
    assert "static let width = 48\n" in swift
    for label in trash_classes:
        assert f'            "{label}",\n' in kotlin
        assert f'        "{label}",\n' in swift
    assert f"* {told['output']['scale']!r}f\n" in kotlin
    assert "0.6f,\n" in kotlin
    assert "share.pow(1 / 1.5)" in kotlin
    assert "const val LEAST = 0.001953125\n" in kotlin  # half of 1/256
    assert "pow(share, 1 / 1.5)" in swift
    assert "min(max(Double($0), 0.001953125), 0.9999999)" in swift
    assert "input.put(value.toByte())" in kotlin  # scale 1, zero point 0
    tasks = (kit / "android/TasksClassifier.kt").read_text()
    assert ".setScoreThreshold(0.1f)" in tasks
    assert ".setDisplayNamesLocale(locale)" in tasks


def test_int8_borders(files):
    """Formats int8 and int4 have them with export.input_type=int8."""
    told = facts.of(files["int8 at both ends"], 1)
    templates = pages._environment(pages.KIT / "label")
    kotlin = templates.get_template("android/LiteRtClassifier.kt.jinja").render(**told)
    assert "val quantised = (value / 1.0f).roundToInt() + (-128)" in kotlin
    assert "(output.get().toInt() - (-128)) * 0.00390625f" in kotlin
    swift = templates.get_template("ios/Classifier.swift.jinja").render(**told)
    assert "(Float(Int8(bitPattern: byte)) - (-128)) * 0.00390625" in swift
    assert "return UInt8(bitPattern: Int8(kept))" in swift
    python = templates.get_template("python/classify.py.jinja").render(**told)
    assert "np.clip(np.round(picture / 1.0) + -128, -128, 127).astype(np.int8)" in python
    ast.parse(python)


ROUNDED = ("int8, float border", "int16x8", "int4", "several labels", "grey", "float border")
OWN = np.float32(
    [[0.99609375, 0, 0, 0, 0, 0.00390625], [0, 0.5, 0.25, 0, 0.25, 0], [0.02, 0.9, 0.02, 0.02, 0.02, 0.02]]
)


@pytest.mark.parametrize("name", ROUNDED)
def test_python_shows_the_scores_that_the_temperature_was_fitted_for(files, name, tmp_path):
    expected = calibrated(files[name], OWN)
    code = (
        pages._environment(pages.KIT / "label")
        .get_template("python/classify.py.jinja")
        .render(**facts.of(files[name], 1))
    )
    module = {"__file__": str(tmp_path / "python" / "classify.py"), "__name__": "classify"}
    exec(code, module)
    np.testing.assert_allclose([module["calibrated"](row) for row in OWN], expected, rtol=1e-12)


@pytest.mark.parametrize("name", ROUNDED)
def test_javascript_shows_the_scores_that_the_temperature_was_fitted_for(files, name, tmp_path):
    expected = calibrated(files[name], OWN)
    found = in_node(files[name], tmp_path, f"console.log(JSON.stringify({OWN.tolist()}.map(kit.calibrated)))")
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def calibrated(file, scores):
    """What `tfmap.calibrate` makes of scores at a file's temperature."""
    about, step = metadata.read(file), confidence.step(flatbuffer.read(file))
    own, several = calibrate.within(scores, step), bool(about.about.get("multi_label"))
    return calibrate.scaled(own, about.temperature, several=several)


CANVAS = """
globalThis.OffscreenCanvas = class {
  getContext() {
    const put = name => (...given) => calls.push([name, ...given.slice(-4)]);
    const drawn = {getImageData: () => ({data: new Uint8Array(4 * 48 * 48)})};
    return Object.assign(drawn, {clearRect: put('clear'), drawImage: put('draw')});
  }
};
"""


def in_node(file, folder, code):
    """What a line of JavaScript prints, as JSON; `kit` is the file's classifier.js without LiteRT.js."""
    page = pages._environment(pages.KIT / "label").get_template("web/classifier.js.jinja").render(**facts.of(file, 1))
    (folder / "kit.mjs").write_text(re.sub(r"import .* from '@litertjs/core';", "const Tensor = Object;", page))
    head = "import * as kit from './kit.mjs'; const calls = [];"
    (folder / "run.mjs").write_text(f"{head}{CANVAS}{code}")
    command = ["node", str(folder / "run.mjs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_page_clears_its_canvas_before_each_picture(files, tmp_path):
    """A transparent picture would show the one before."""
    code = "const one = new kit.Classifier(null); one.outputs = async () => [[]]; await one.scores('a'); "
    found = in_node(files["int8"], tmp_path, f"{code}await one.scores('b'); console.log(JSON.stringify(calls))")
    assert found == 2 * [["clear", 0, 0, 48, 48], ["draw", 0, 0, 48, 48]]


def test_several_labels_are_calibrated_one_by_one(files):
    told = facts.of(files["several labels"], 1)
    templates = pages._environment(pages.KIT / "label")
    one_by_one = {"kotlin": "power(shares[it]) + power(1 - shares[it])", "swift": "power($0) + power(1 - $0)"}
    names = {"kotlin": "android/LiteRtClassifier.kt.jinja", "swift": "ios/Classifier.swift.jinja"}
    for language, name in names.items():
        code = templates.get_template(name).render(**told)
        assert one_by_one[language] in code
        assert "sum" not in code
    assert "p^(1/T) / (p^(1/T) + (1-p)^(1/T))" in templates.get_template("README.md.jinja").render(**told)


def test_a_large_picture_is_halved_step_by_step(kit):
    """One bilinear step from a camera's size reads 4 of 100 pixels."""
    kotlin, swift = (kit / "android/LiteRtClassifier.kt").read_text(), (kit / "ios/Classifier.swift").read_text()
    assert "maxOf(WIDTH, (smaller.width + 1) / 2)" in kotlin
    assert "Bitmap.createScaledBitmap(smaller, width, height, true)" in kotlin
    assert "while smaller.width > 2 * Self.width || smaller.height > 2 * Self.height {" in swift


def test_the_readme_says_what_scores_and_sizes_are(kit):
    text = (kit / "README.md").read_text()
    assert "p^(1/T) / sum of all p^(1/T), each p kept in 0.001953125 to 0.9999999 |" in text
    assert "Training\nhalved a JPEG while both sides stayed at least 0.85 of that" in text


def test_the_readme_names_what_is_there_and_what_is_not(any_kit):
    text = (any_kit / "README.md").read_text()
    assert ("MediaPipe Tasks: it reads" in text) == (any_kit / "android" / "TasksClassifier.kt").exists()
    assert ("There is no code for MediaPipe Tasks" in text) != (any_kit / "android" / "TasksClassifier.kt").exists()
    assert ("There is no web page" in text) != (any_kit / "web").exists()


@given(st.text(st.characters(codec="utf-8")))
def test_literals_of_javascript_and_python_read_back(text):
    assert json.loads(pages.javascript(text).replace("<\\/", "</")) == text
    assert ast.literal_eval(repr(text)) == text
    assert "</" not in pages.javascript(text)


@pytest.mark.parametrize(
    ("text", "kotlin", "swift"),
    [
        ("plain", '"plain"', '"plain"'),
        ("$x {y}", '"\\$x {y}"', '"$x {y}"'),
        ('a"b\\c', '"a\\"b\\\\c"', '"a\\"b\\\\c"'),
        ("\\(x)", '"\\\\(x)"', '"\\\\(x)"'),
        ("tab\tend", '"tab\\u0009end"', '"tab\\u{9}end"'),
        ("Müll 日本 🗑", '"Müll 日本 🗑"', '"Müll 日本 🗑"'),
    ],
)
def test_literals_of_kotlin_and_swift(text, kotlin, swift):
    assert (pages.kotlin(text), pages.swift(text)) == (kotlin, swift)


def test_numbers():
    assert (pages.kotlin(0.25), pages.swift(0.25)) == ("0.25f", "0.25")


def test_a_cell_cannot_leave_its_table():
    assert pages.cell("a|b\n<b>c") == "a\\|b &lt;b>c"


def test_the_readme_is_one_page(kit):
    text = (kit / "README.md").read_text()
    assert text.startswith('# Trash "sorter"\n\nSorts a picture \\| of trash.\n')
    assert len(text.splitlines()) < 80
    for line in ("| author | We |", "| licence | MIT |", "| labels also in | de |", "| task | classification |"):
        assert line in text
    assert "Not verified yet" in text


def test_a_kit_that_no_browser_can_run_has_no_page(files, make_kit):
    folder = make_kit(files["two at a time"])
    assert not (folder / "web").exists()
    assert not (folder / "android" / "TasksClassifier.kt").exists()
    assert "There is no web page" in (folder / "README.md").read_text()
    assert "repeat(2)" in (folder / "android" / "LiteRtClassifier.kt").read_text()


def test_an_open_batch_and_kernels_in_four_bits_are_told(files, make_kit):
    told = (make_kit(files["open batch"]) / "README.md").read_text()
    assert "| takes | uint8 ? x 48 x 48 x 3, RGB" in told
    assert "\nThe batch is open: resize the input to as many pictures as you hand over." in told
    assert "need LiteRT 1.1 or later" not in told
    assert "need LiteRT 1.1 or later" in (make_kit(files["int4"]) / "README.md").read_text()


def test_no_registry_is_named(kit):
    for name, text in texts(kit).items():
        assert not re.search(r"https?://(?!127\.0\.0\.1)", text), name
