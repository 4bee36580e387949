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

from tfmap.export import metadata
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
    assert "pow(1 / 1.5f)" in kotlin
    assert "pow(max(share, 1e-7), 1 / 1.5)" in swift
    assert "input.put(value.toByte())" in kotlin  # scale 1, zero point 0
    tasks = (kit / "android/TasksClassifier.kt").read_text()
    assert ".setScoreThreshold(0.1f)" in tasks
    assert ".setDisplayNamesLocale(locale)" in tasks


def test_int8_borders(classifier):
    """No format of ours has one; files that others quantised do."""
    from dataclasses import replace

    from tfmap import flatbuffer
    from tfmap.export import convert

    file = metadata.attach(convert.float32(classifier), metadata.Metadata(tuple("abcdef")))
    told = facts.of(file, 1)
    graph = flatbuffer.read(file)
    border = replace(graph.inputs[0], dtype="int8", scale=(1.0,), zero_point=(-128,))
    told |= {"input": facts._tensor(border), "output": facts._tensor(replace(border, scale=(0.00390625,)))}
    templates = pages._environment()
    kotlin = templates.get_template("android/LiteRtClassifier.kt.jinja").render(**told)
    assert "val quantised = (value / 1.0f).roundToInt() + (-128)" in kotlin
    assert "(output.get().toInt() - (-128)) * 0.00390625f" in kotlin
    swift = templates.get_template("ios/Classifier.swift.jinja").render(**told)
    assert "(Float(Int8(bitPattern: byte)) - (-128)) * 0.00390625" in swift
    assert "return UInt8(bitPattern: Int8(kept))" in swift
    python = templates.get_template("python/classify.py.jinja").render(**told)
    assert "np.clip(np.round(picture / 1.0) + -128, -128, 127).astype(np.int8)" in python
    ast.parse(python)


def test_several_labels_are_calibrated_one_by_one(whole_file, tmp_path):
    told = facts.of(whole_file, 1) | {"several": True}
    templates = pages._environment()
    code = templates.get_template("python/classify.py.jinja").render(**told).partition("def check")[0]
    module = {"__file__": str(tmp_path / "python" / "classify.py")}
    exec(code, module)
    own = np.array([0.9, 0.5, 0.02])
    logits = np.log(own / (1 - own)) / 1.5
    np.testing.assert_allclose(module["calibrated"](own), 1 / (1 + np.exp(-logits)), rtol=1e-6)
    one_by_one = "/ (power(score) + power(1 - score))"
    assert one_by_one in templates.get_template("web/classifier.js.jinja").render(**told)
    for name in ("android/LiteRtClassifier.kt.jinja", "ios/Classifier.swift.jinja", "README.md.jinja"):
        assert "sum" not in templates.get_template(name).render(**told).replace("sha256sum", "")


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


def test_no_registry_is_named(kit):
    for name, text in texts(kit).items():
        assert not re.search(r"https?://(?!127\.0\.0\.1)", text), name
