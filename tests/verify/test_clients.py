"""The file in MediaPipe Tasks. Skipped where the package mediapipe is not installed: no extra of ours brings it."""

from __future__ import annotations

import sys

import pytest

from tfmap import verify
from tfmap.errors import InputError
from tfmap.export import convert, metadata
from tfmap.verify import clients


def needs_mediapipe():
    return pytest.importorskip("mediapipe", reason="pip install mediapipe==1.2.2 to run this", exc_type=ImportError)


@pytest.mark.parametrize("name", ["int8", "float32"])
def test_an_app_gets_our_labels_and_our_scores(lite_files, photos, trash_classes, name):
    needs_mediapipe()
    found = clients.check(lite_files[name], photos[0][::6], trash_classes)
    assert found["findings"] == []
    assert found["difference"] <= clients.BOUND
    assert found["client"].startswith("MediaPipe Tasks ")


def test_other_labels_are_found(lite_files, photos, trash_classes):
    needs_mediapipe()
    other = metadata.attach(lite_files["int8"], metadata.Metadata(labels=("x", *trash_classes[1:])))
    found = clients.check(other, photos[0][:2], trash_classes)
    assert found["findings"] == ["MediaPipe Tasks names 'x', which are none of the classes."]


def test_swapped_labels_are_other_scores(lite_files, photos, trash_classes):
    needs_mediapipe()
    other = metadata.attach(lite_files["int8"], metadata.Metadata(labels=trash_classes[::-1]))
    (line,) = clients.check(other, photos[0][:6], trash_classes)["findings"]
    assert line.startswith("MediaPipe Tasks gives other scores: they differ by up to ")


def test_a_file_that_it_refuses(classifier, photos, trash_classes):
    needs_mediapipe()
    bare = convert.float32(classifier, input_type="float32")  # floats need metadata that says how to normalise
    found = clients.check(bare, photos[0][:2], trash_classes)
    assert found["difference"] is None
    assert found["findings"][0].startswith("MediaPipe Tasks refuses the file: ")


def test_verify_asks_it_where_it_is_told_to(classifier, lite_files, trash_split, trash_classes):
    needs_mediapipe()
    known = {"classes": trash_classes, "budget": 5, "seconds": 0.01}
    found = verify.verify(classifier, lite_files["int8"], trash_split, clients=True, **known)
    assert found["passed"]
    assert found["clients"]["difference"] <= clients.BOUND


def test_without_the_package_it_says_what_to_install(monkeypatch, classifier, lite_files, trash_split, trash_classes):
    monkeypatch.setitem(sys.modules, "mediapipe", None)  # as Python does for a module that cannot be imported
    with pytest.raises(
        InputError, match=r"the package mediapipe is not installed here .* Install it: pip install media"
    ):
        verify.verify(classifier, lite_files["int8"], trash_split, classes=trash_classes, clients=True)


def test_grey_pictures_are_none_of_its(monkeypatch, lite_files, photos, trash_classes):
    needs_mediapipe()
    with pytest.raises(InputError, match="MediaPipe Tasks takes pictures in colour, the model 1 channel"):
        clients.check(lite_files["int8"], photos[0][:1, :, :, :1], trash_classes)
