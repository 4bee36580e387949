"""The file in a real browser, as verify asks it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tests.export.handoff.test_boxes_and_masks import KINDS, untrained
from tfmap import verify
from tfmap.errors import InputError
from tfmap.export import convert, metadata
from tfmap.litert import LiteModel
from tfmap.verify import browser

needs_chromium = pytest.mark.skipif(
    not (shutil.which("chromium") and shutil.which("npm")), reason="needs chromium and npm"
)


@pytest.fixture(scope="module")
def litertjs():
    """LiteRT.js, where a registry can be reached."""
    try:
        return browser.installed()
    except InputError as error:
        pytest.skip(str(error))


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("name", ["int8", "float32"])
def test_a_browser_gives_our_scores(litertjs, lite_files, photos, trash_classes, name):
    found = browser.check(lite_files[name], photos[0][::6], trash_classes)
    assert found["findings"] == []
    assert found["difference"] <= (1 / 256 if name == "int8" else 1e-4)
    assert found["client"] == "LiteRT.js 2.5.3 in chromium"


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_a_browser_gives_our_boxes_and_masks(litertjs, photos, task):
    file = untrained(task, 40)
    pictures = np.resize(photos[0], (4, *LiteModel(file).input_shape[1:]))
    found = browser.check(file, pictures, KINDS, task)
    assert found["findings"] == []
    assert found["difference"] <= 1e-3
    assert found["pictures"] == 4


@needs_chromium
@pytest.mark.slow
def test_other_answers_are_found(litertjs, lite_files, photos, trash_classes, monkeypatch):
    answered = browser.golden.answered

    def wrong(*arguments, **classes):
        found = answered(*arguments, **classes)
        return {**found, "outputs": found["outputs"][::-1]}

    monkeypatch.setattr(browser.golden, "answered", wrong)
    (line,) = browser.check(lite_files["int8"], photos[0][::6], trash_classes)["findings"]
    assert line.startswith("LiteRT.js answers 8 of 8 pictures otherwise: scores differ by up to ")


@needs_chromium
@pytest.mark.slow
def test_a_file_that_it_refuses(litertjs, lite_files, photos, trash_classes, monkeypatch):
    """A page that is given half of a file."""
    write = browser.handoff.write

    def cut(kit, data, vectors):
        write(kit, data, vectors)
        (kit / "model.tflite").write_bytes(data[: len(data) // 2])

    monkeypatch.setattr(browser.handoff, "write", cut)
    found = browser.check(lite_files["int8"], photos[0][:2], trash_classes)
    assert found["difference"] is None
    assert found["findings"][0].startswith("LiteRT.js refuses the file: ")


@needs_chromium
@pytest.mark.slow
def test_verify_asks_it_where_it_is_told_to(litertjs, classifier, lite_files, trash_split, trash_classes):
    known = {"classes": trash_classes, "budget": 5, "seconds": 0.01}
    found = verify.verify(classifier, lite_files["int8"], trash_split, browser=True, **known)
    assert found["passed"]
    assert found["browser"]["pictures"] == verify.PROBES


@pytest.fixture
def ready(tmp_path, monkeypatch):
    """Programs by name -> the only ones on the PATH, and a LiteRT.js that is installed."""

    def make(**programs):
        for name, code in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{code}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("TFMAP_CACHE", str(tmp_path / "cache"))

    return make


def package(folder):
    """What `installed` takes for a finished installation."""
    modules = folder / "cache" / "litertjs" / browser.LITERTJS / "node_modules"
    modules.mkdir(parents=True)
    (modules / ".package-lock.json").write_text("{}")


def test_without_a_browser_it_says_what_to_install(ready, classifier, lite_files, trash_split, trash_classes):
    ready()
    with pytest.raises(InputError, match=r"^verify.browser=true needs one of chromium, .* Or set verify.browser=false"):
        verify.verify(classifier, lite_files["int8"], trash_split, classes=trash_classes, browser=True)


def test_without_npm_it_says_what_to_install(ready):
    ready(chromium="exit 0")
    with pytest.raises(InputError, match=r"^verify.browser=true needs npm on the PATH, to install LiteRT.js. Install"):
        browser.installed()


def test_without_a_registry_it_says_what_npm_says(ready):
    ready(chromium="exit 0", npm="echo 'npm error ENOTFOUND' >&2; exit 1")
    with pytest.raises(InputError, match=r"npm cannot install LiteRT.js 2.5.3: npm error ENOTFOUND Or set"):
        browser.installed()


def test_a_browser_that_ends(ready, tmp_path, lite_files, photos, trash_classes):
    ready(chromium="exit 7")
    package(tmp_path)
    with pytest.raises(InputError, match=r"chromium ended with 7. Try it by hand: .*chromium --headless about:blank"):
        browser.check(lite_files["int8"], photos[0][:2], trash_classes)


def test_a_browser_that_says_nothing(ready, tmp_path, lite_files, photos, trash_classes, monkeypatch):
    ready(chromium="exec /bin/sleep 60")
    package(tmp_path)
    monkeypatch.setattr(browser, "PATIENCE", 1.0)
    with pytest.raises(InputError, match="chromium gave no answer in 1 seconds"):
        browser.check(lite_files["int8"], photos[0][:2], trash_classes)


def test_files_that_no_page_can_run(ready, tmp_path, classifier, lite_files, photos, trash_classes):
    ready(chromium="exit 7")
    package(tmp_path)
    int8 = convert.int8(classifier, photos[0], input_type="int8")
    bare = browser.check(int8, photos[0][:2], trash_classes)
    assert bare["findings"][0].startswith("There is no page for a browser: the model holds no TFLite Metadata")
    labelled = metadata.attach(int8, metadata.Metadata(labels=trash_classes))
    assert browser.check(labelled, photos[0][:2], trash_classes)["findings"] == [browser.UNFIT]


def test_scores_of_a_browser_that_are_no_numbers():
    told = {"within": 1, "vectors": 2, "apart": [0, None]}  # as JavaScript writes NaN
    assert browser._judged(told, "label", 1.0) == {"findings": ["LiteRT.js answers scores that are no numbers."]}


WRONG = {
    "label": (0.5, "scores differ by up to 0.2500."),
    "boxes": (1.0, "scores or edges of its boxes differ by up to 0.5000."),
    "mask": (1.0, "it sees another class at up to 50.00% of a picture's pixels."),
}


@pytest.mark.parametrize("target", WRONG)
def test_other_answers_are_told_in_the_words_of_their_target(target):
    scale, words = WRONG[target]
    found = browser._judged({"within": 1, "vectors": 2, "apart": [0, 0.5]}, target, scale)
    assert found["findings"] == [f"LiteRT.js answers 1 of 2 pictures otherwise: {words}"]
    assert found.get("unit") == ("pixels" if target == "mask" else None)
