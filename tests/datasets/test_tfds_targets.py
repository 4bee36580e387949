"""Boxes and masks out of real builders, prepared from real pictures in a folder of their own."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

tfds = pytest.importorskip("tensorflow_datasets")

from tests.datasets import formats  # noqa: E402
from tfmap.datasets import load  # noqa: E402
from tfmap.errors import InputError  # noqa: E402


class Tissue(tfds.core.GeneratorBasedBuilder):
    """Blood cells in boxes, membranes in masks."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="boxes", description="boxes"),
        tfds.core.BuilderConfig(name="mask", description="a LabeledImage"),
        tfds.core.BuilderConfig(name="plain", description="a picture called segmentation_mask"),
        tfds.core.BuilderConfig(name="both", description="a label and boxes"),
    ]

    def _info(self):
        kind = self.builder_config.name
        features = {"image": tfds.features.Image()}
        if kind in ("boxes", "both"):
            one = {"bbox": tfds.features.BBoxFeature(), "label": tfds.features.ClassLabel(names=list(formats.CLASSES))}
            features["objects"] = tfds.features.Sequence({**one, "is_crowd": np.bool_})
        if kind == "both":
            features["label"] = tfds.features.ClassLabel(names=["few", "many"])
        if kind == "mask":
            features["segmentation"] = tfds.features.LabeledImage(labels=["inside", "membrane"])
        if kind == "plain":
            features["segmentation_mask"] = tfds.features.Image(shape=(None, None, 1))
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        splits = ["train"] if self.builder_config.name in ("mask", "plain") else ["train", "validation", "test"]
        return {split: self._generate_examples({"validation": "val"}.get(split, split)) for split in splits}

    def _generate_examples(self, part):
        kind = self.builder_config.name
        if kind in ("mask", "plain"):
            for index in range(3):
                image, mask = (str(formats.MEMBRANE / "train" / name / f"{index}.png") for name in ("image", "label"))
                yield index, {"image": image, "segmentation" if kind == "mask" else "segmentation_mask": mask}
            return
        for index, (_, stem, objects) in enumerate(formats.only(part)):
            # BBox refuses a box without area, so that such a box never comes out of a data set
            boxes = [
                {"bbox": tfds.features.BBox(y0 / 480, x0 / 640, y1 / 480, x1 / 640), "label": name, "is_crowd": i == 0}
                for i, (name, x0, y0, x1, y1) in enumerate(objects)
                if x1 > x0
            ]
            label = {"label": "many" if index else "few"} if kind == "both" else {}
            yield index, {"image": str(formats.BCCD / "JPEGImages" / f"{stem}.jpg"), "objects": boxes, **label}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for config in Tissue.BUILDER_CONFIGS:
        Tissue(config=config.name, data_dir=folder).download_and_prepare()
    return str(folder)


def test_boxes_are_those_of_every_other_format(data_dir):
    source = load("tfds:tissue/boxes", data_dir=data_dir)
    assert source.target == "boxes"
    assert source.classes == formats.CLASSES
    for part in formats.PARTS:
        split = source.split(part)
        for index, (_, _, objects) in enumerate(formats.only(part)):
            rows = split.boxes.rows(index)
            want = [box for box in objects if box[3] > box[1]]
            assert [source.classes[number] for number in split.boxes.classes[rows]] == [name for name, *_ in want]
            swapped = [[y0, x0, y1, x1] for _, x0, y0, x1, y1 in want]
            np.testing.assert_allclose(split.boxes.boxes[rows], swapped, atol=1e-3)
            assert list(np.flatnonzero(split.boxes.crowd[rows])) == [0]


@pytest.mark.parametrize(
    ("config", "classes"), [("mask", ("inside", "membrane")), ("plain", ("background", "foreground"))]
)
def test_masks(data_dir, config, classes):
    source = load(f"tfds:tissue/{config}", data_dir=data_dir, val_fraction=0)
    assert source.target == "mask"
    assert source.classes == classes
    folders = load(str(formats.MEMBRANE), val_fraction=0).split("train")
    for index in range(3):
        np.testing.assert_array_equal(source.split("train").masks.read(index), folders.masks.read(index))


def test_labels_come_first_and_target_chooses(data_dir):
    assert load("tfds:tissue/both", data_dir=data_dir).target == "label"
    assert load("tfds:tissue/both", data_dir=data_dir, target="boxes").target == "boxes"
    with pytest.raises(InputError, match="tissue/both cannot be read for mask: expected one image and one mask, found"):
        load("tfds:tissue/both", data_dir=data_dir, target="mask")


def test_a_prepared_folder_needs_no_name(data_dir):
    folder = f"{data_dir}/tissue/boxes/1.0.0"
    by_folder, by_name = load(folder), load("tfds:tissue/boxes", data_dir=data_dir)
    assert by_folder.target == "boxes"
    for part in formats.PARTS:
        np.testing.assert_array_equal(by_folder.split(part).boxes.boxes, by_name.split(part).boxes.boxes)
    assert len(load(folder, format="tfds")) == 6


def test_a_broken_prepared_folder(tmp_path):
    (tmp_path / "dataset_info.json").write_text("{")
    (tmp_path / "features.json").write_text("{}")
    with pytest.raises(InputError, match=f"datasets: tfds:{tmp_path}: the folder cannot be read: "):
        load(str(tmp_path))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_shard_that_is_cut_short(data_dir, tmp_path, keep):
    folder = shutil.copytree(f"{data_dir}/tissue/boxes/1.0.0", tmp_path / "boxes" / "1.0.0")
    (shard,) = folder.glob("*train.tfrecord*")
    shard.write_bytes(shard.read_bytes()[: int(shard.stat().st_size * keep)])
    with pytest.raises(InputError, match=f"datasets: {folder}: split train cannot be read: "):
        load(str(folder))
