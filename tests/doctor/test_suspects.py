from __future__ import annotations

import builtins

import keras
import numpy as np
import pytest

import tfmap
from tfmap.datasets import samples
from tfmap.doctor import suspects
from tfmap.errors import InputError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run folder whose model has ImageNet features and a head that has learned nothing."""
    folder = tmp_path_factory.mktemp("run")
    tfmap.build_classifier("mobilenet_v1_025", classes=2, input_shape=(96, 96, 3)).save(folder / "model.keras")
    return str(folder)


@pytest.fixture
def swapped(write):
    """Forty pictures of cardboard and forty of metal; two of each stand under the other label."""
    places = {}
    for k, name in enumerate(("cardboard", "metal")):
        for i, path in enumerate(sorted((samples.folder("trash") / name).glob("*.jpg"))[:40]):
            label = ("cardboard", "metal")[1 - k if i < 2 else k]
            places[f"{label}/{path.name}"] = path.read_bytes()
    return str(write(places))


def test_swapped_labels_are_found(swapped, model):
    cases = [case for case in tfmap.examine(swapped, model=model).cases if case.kind.name == "likely label error"]
    hits = {case.pictures[0].rsplit("/", 2)[-2:][0] + "/" + case.pictures[0].rsplit("/")[-1][:5] for case in cases}
    assert {"cardboard/metal", "metal/cardb"} <= hits
    wrong = [case for case in cases if case.pictures[0].split("/")[-2] not in case.pictures[0].split("/")[-1]]
    assert len(wrong) >= 3
    assert len(cases) <= 10
    assert all(not case.quarantine for case in cases)
    assert "is labelled" in cases[0].text


def test_no_picture_judges_its_own_label():
    """Features that tell each picture apart, and labels by chance: who has seen a label would know it."""
    draw = np.random.default_rng(0)
    features, labels = draw.normal(size=(100, 200)), np.arange(100) % 2
    right = suspects.judge(features, labels)[np.arange(100), labels]
    assert (right > 0.5).mean() < 0.65


def test_what_is_not_there(write, swapped, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist. Expected a run folder or a .keras file"):
        tfmap.examine(swapped, model=str(tmp_path / "gone"))


def test_another_file(swapped, tmp_path):
    (tmp_path / "model.h5").write_bytes(b"")
    with pytest.raises(InputError, match="doctor.model must be a run folder or a .keras file, received .*model.h5"):
        tfmap.examine(swapped, model=str(tmp_path / "model.h5"))


def test_no_classifier(swapped, tmp_path):
    image = keras.Input((8, 8, 3))
    keras.Model(image, keras.layers.Conv2D(2, 1)(image)).save(tmp_path / "model.keras")
    with pytest.raises(InputError, match="must be a classifier of pictures of a fixed size that ends in a dense layer"):
        tfmap.examine(swapped, model=str(tmp_path))


def test_too_few_pictures(write, model):
    with pytest.raises(InputError, match="class 'b' has 3 pictures; 5 or more of each class are needed"):
        tfmap.examine(
            str(write({**{f"a/{i}.jpg": i for i in range(6)}, **{f"b/{i}.jpg": 9 + i for i in range(3)}})), model=model
        )


def test_several_labels(listed, glass, model):
    with pytest.raises(InputError, match="judges data with one label a picture"):
        list(suspects.check(listed(glass[:3], labels=np.eye(3, dtype=np.float32)), model))


def test_without_cleanlab(monkeypatch, swapped, model):
    imported = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("cleanlab"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r'needs cleanlab. Install it: pip install "tfmap\[labels\]"'):
        tfmap.examine(swapped, model=model)
