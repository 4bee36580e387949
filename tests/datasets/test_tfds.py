"""A real builder, prepared from real photographs in a folder of its own."""

from __future__ import annotations

import numpy as np
import pytest

tfds = pytest.importorskip("tensorflow_datasets")

from tfmap.datasets import load  # noqa: E402
from tfmap.errors import InputError  # noqa: E402


class Waste(tfds.core.GeneratorBasedBuilder):
    """Photographs of one class, labelled by their number."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="one", description="one label"),
        tfds.core.BuilderConfig(name="many", description="several labels"),
        tfds.core.BuilderConfig(name="bare", description="no label"),
        tfds.core.BuilderConfig(name="rest", description="no train split"),
    ]
    paths: list = []

    def _info(self):
        label = tfds.features.ClassLabel(names=["a/b", "c"])
        labels = {"many": tfds.features.Sequence(label), "bare": np.int64}
        features = {"image": tfds.features.Image(), "label": labels.get(self.builder_config.name, label)}
        features = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager):
        names = {"rest": ["odds"]}.get(self.builder_config.name, ["train", "test", "extra"])
        return {name: self._generate_examples(name) for name in names}

    def _generate_examples(self, part):
        for index, path in enumerate(self.paths):
            if (index % 2 == 0) == (part == "train"):
                label = {"many": ["c", "a/b"][: 1 + index % 3 % 2]}.get(self.builder_config.name, index // 2 % 2)
                yield index, {"image": str(path), "label": -1 if label == 0 and index == 1 else label}


@pytest.fixture(scope="module")
def data_dir(glass, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    Waste.paths = glass
    for config in ("one", "many", "bare", "rest"):
        Waste(config=config, data_dir=folder).download_and_prepare()
    return str(folder)


def test_pictures_stay_encoded_and_in_order(data_dir, glass):
    source = load("tfds:waste/one", data_dir=data_dir, val_fraction=0)
    assert source.classes == ("a-b", "c")  # a class name cannot hold a slash
    train = source.split("train")
    assert train.kind == "encoded"
    assert [bytes(image) for image in train.images] == [path.read_bytes() for path in glass[::2]]
    np.testing.assert_array_equal(train.labels, np.arange(20) % 2)
    assert train.ids[3] == "waste/train#3"


def test_given_test_part_and_pictures_without_label(data_dir):
    source = load("tfds:waste/one", data_dir=data_dir)
    assert set(source.splits) == {"train", "val", "test"}
    assert len(source.split("test")) == 19
    assert [(skipped.path, skipped.reason) for skipped in source.skipped] == [("waste/test#0", "has no label")]


def test_several_labels(data_dir):
    source = load("tfds:waste/many", data_dir=data_dir, val_fraction=0)
    assert source.multi_label
    np.testing.assert_array_equal(source.split("train").labels[:3], [[0, 1], [0, 1], [1, 1]])


def test_format_and_bare_name(data_dir):
    assert load("waste/one", format="tfds", data_dir=data_dir).classes == ("a-b", "c")


def test_no_classification(data_dir):
    with pytest.raises(
        InputError,
        match=r"cannot be read for label: expected one image and one class label, found features image, label\.",
    ):
        load("tfds:waste/bare", data_dir=data_dir)


def test_no_train_split(data_dir):
    with pytest.raises(InputError, match=r"tfds:waste/rest has no train split, only odds\."):
        load("tfds:waste/rest", data_dir=data_dir)


def test_unknown_name(data_dir):
    with pytest.raises(InputError, match=r"TensorFlow Datasets has no data set 'mnst'\. Did you mean 'mnist'\?"):
        load("tfds:mnst", data_dir=data_dir)


def test_not_on_this_machine(tmp_path):
    with pytest.raises(
        InputError, match=r"tfds:mnist is not on this machine \(looked in .*Set datasets.download to true"
    ):
        load("tfds:mnist", data_dir=str(tmp_path))


def test_cannot_be_fetched(tmp_path, monkeypatch):
    def offline(self, **_):
        raise ConnectionError("no route to host\nand more lines")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", offline)
    with pytest.raises(InputError, match=r"^datasets: tfds:mnist could not be fetched: no route to host$"):
        load("tfds:mnist", data_dir=str(tmp_path), download=True)


def test_unknown_config(tmp_path):
    with pytest.raises(InputError, match=r"^datasets: tfds:mnist/nothing: [^\n]*$"):
        load("tfds:mnist/nothing", data_dir=str(tmp_path))
