"""Image classification data sets of TensorFlow Datasets: `tfds:<name>[/<config>]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from tfmap.datasets.listing import PARTS, Listing, check_classes, objects
from tfmap.errors import InputError, did_you_mean
from tfmap.source import Skipped

Row = tuple[bytes, list[int], str]  # encoded picture, labels, id


def read(name: str, *, data_dir: str | None = None, download: bool = False) -> Listing:
    """Read a whole data set into memory, its pictures still encoded.

    The pictures are those of the one image feature; labels are those of the one class label, or of the one list of
    class labels (several labels a picture). Pictures without a label (-1) are left out.

    Args:
        name: name, with the config behind a slash where there is one.
        data_dir: folder of data sets; by default that of TensorFlow Datasets.
        download: whether it may be fetched and prepared if it is not on this machine.

    Raises:
        InputError: unknown name, not on this machine, no image classification data set, or no train split.
    """
    builder = _builder(name, data_dir)
    _prepare(name, builder, download)
    image, label = _features(name, builder.info.features)
    feature = builder.info.features[label]
    several = not isinstance(feature, tfds.features.ClassLabel)
    classes = (feature.feature if several else feature).names
    rows, parts, skipped = [], [], []
    for split, part in _splits(name, builder):
        for row in _rows(builder, split, image, label):
            if min(row[1], default=0) < 0:
                skipped.append(Skipped(row[2], "has no label"))
                continue
            rows.append(row)
            parts.append(part)
    # One train split alone does not say how to cut it; that is what "" means.
    parts = parts if len(set(parts)) > 1 else [""] * len(parts)
    names = check_classes([name.replace("/", "-").replace("\\", "-") for name in classes], f"a label of tfds:{name}")
    labels = _labels([row[1] for row in rows], len(names), several)
    images, ids = objects([row[0] for row in rows]), objects([row[2] for row in rows])
    return Listing("encoded", images, labels, ids, objects(parts), names, tuple(skipped))


def _builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        raise InputError(
            f"datasets: TensorFlow Datasets has no data set {name!r}.{did_you_mean(name.split('/')[0], known)}"
        ) from error
    except ValueError as error:  # an unknown config
        raise InputError(f"datasets: tfds:{name}: {str(error).splitlines()[0]}") from error


def _prepare(name: str, builder: tfds.core.DatasetBuilder, download: bool) -> None:
    if builder.is_prepared():
        return
    if not download:
        raise InputError(
            f"datasets: tfds:{name} is not on this machine (looked in {builder.data_dir}). Set datasets.download to "
            "true to fetch it, or datasets.data_dir to where it is."
        )
    try:
        builder.download_and_prepare()
    except Exception as error:  # the network, a full disk, a licence to accept by hand: each library raises its own
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"datasets: tfds:{name} could not be fetched: {reason}") from error


def _features(name: str, features: Any) -> tuple[str, str]:
    """Names of the image feature and of the label feature."""
    images = [key for key, feature in features.items() if type(feature) is tfds.features.Image]
    labels = [key for key, feature in features.items() if _is_label(feature)]
    # Data sets with a second, finer label name the usual one "label".
    labels = ["label"] if "label" in labels else labels
    images = ["image"] if "image" in images else images
    if len(images) != 1 or len(labels) != 1:
        raise InputError(
            f"datasets: tfds:{name} is no image classification data set: expected one image and one class label, found "
            f"features {', '.join(features)}."
        )
    return images[0], labels[0]


def _is_label(feature: Any) -> bool:
    inner = feature.feature if isinstance(feature, tfds.features.Sequence) else feature
    return isinstance(inner, tfds.features.ClassLabel)


def _splits(name: str, builder: tfds.core.DatasetBuilder) -> list[tuple[str, str]]:
    """(its split, our part). Other splits, such as "unlabelled" or corrupted test sets, are not read."""
    found = [(split, PARTS[split]) for split in builder.info.splits if split in PARTS]
    if "train" not in [part for _, part in found]:
        raise InputError(f"datasets: tfds:{name} has no train split, only {', '.join(builder.info.splits) or 'none'}.")
    return found


def _rows(builder: tfds.core.DatasetBuilder, split: str, image: str, label: str) -> Iterator[Row]:
    # In order and one file after another: the same rows under the same ids every time.
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    decoders = {image: tfds.decode.SkipDecoding()}
    data = builder.as_dataset(split=split, decoders=decoders, read_config=config, shuffle_files=False)
    for index, row in enumerate(data.as_numpy_iterator()):
        yield bytes(row[image]), [int(value) for value in np.atleast_1d(row[label])], f"{builder.name}/{split}#{index}"


def _labels(rows: list[list[int]], count: int, several: bool) -> np.ndarray:
    if not several:
        return np.array([labels[0] for labels in rows], np.int32)
    values = np.zeros((len(rows), count), np.float32)
    for index, labels in enumerate(rows):
        values[index, labels] = 1
    return values
