"""Data sets of TensorFlow Datasets: `tfds:<name>[/<config>]`, or a folder that it has prepared.

Labels are those of the one class label, or of the one list of class labels (several labels a picture). Boxes are those
of the one list of objects that have a BBoxFeature and a class label. A mask is the one LabeledImage, or the one picture
called mask or segmentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tfmap import pixels
from tfmap.datasets import tree
from tfmap.datasets.listing import PARTS, Listing, Target, check_classes, objects
from tfmap.errors import InputError, did_you_mean
from tfmap.source import Boxes, Masks, Skipped

_WANTED = {"label": "class label", "boxes": "list of boxes with class labels", "mask": "mask"}

Row = tuple[bytes, Any, str]  # encoded picture; labels, objects or encoded mask; id


def read(name: str, *, target: Target | None = None, data_dir: str | None = None, download: bool = False) -> Listing:
    """Read a whole data set into memory, its pictures still encoded.

    Pictures without a label (-1) are left out.

    Args:
        name: name, with the config behind a slash where there is one; or the folder of a prepared version.
        target: what to read about a picture; by default labels, else boxes, else masks, whichever it has.
        data_dir: folder of data sets; by default that of TensorFlow Datasets.
        download: whether it may be fetched and prepared if it is not on this machine.

    Raises:
        InputError: unknown name, not on this machine, not one picture and one target, or no train split.
    """
    builder = _builder(name, data_dir)
    _prepare(name, builder, download)
    image, key, target = _features(name, builder.info.features, target)
    rows, parts = [], []
    for split, part in _splits(name, builder):
        found = list(_rows(builder, split, image, key, encoded=target == "mask"))
        rows += found
        parts += [part] * len(found)
    # One train split alone does not say how to cut it; that is what "" means.
    parts = parts if len(set(parts)) > 1 else [""] * len(parts)
    fill = {"label": _with_labels, "boxes": _with_boxes, "mask": _with_masks}[target]
    return fill(name, builder.info.features[key], rows, objects(parts))


def _builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    if tree.prepared(Path(name)):
        return _from_folder(name)
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        raise InputError(
            f"datasets: TensorFlow Datasets has no data set {name!r}.{did_you_mean(name.split('/')[0], known)}"
        ) from error
    except ValueError as error:  # an unknown config
        raise InputError(f"datasets: tfds:{name}: {str(error).splitlines()[0]}") from error


def _from_folder(folder: str) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder_from_directory(folder)
    except Exception as error:  # its JSON files are read by three libraries, and each raises its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"datasets: tfds:{folder}: the folder cannot be read: {reason}") from error


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


def _features(name: str, features: Any, target: Target | None) -> tuple[str, str, Target]:
    """Names of the feature of the picture and of the target, and the target."""
    masks = [key for key, feature in features.items() if _is_mask(key, feature)]
    images = [key for key, feature in features.items() if type(feature) is tfds.features.Image and key not in masks]
    labels = [key for key, feature in features.items() if _is_label(feature)]
    found = {
        # Data sets with a second, finer label name the usual one "label".
        "label": ["label"] if "label" in labels else labels,
        "boxes": [key for key, feature in features.items() if _is_objects(feature)],
        "mask": masks,
    }
    images = ["image"] if "image" in images else images
    target = target or next((kind for kind, keys in found.items() if len(keys) == 1), "label")
    if len(images) != 1 or len(found[target]) != 1:
        raise InputError(
            f"datasets: tfds:{name} cannot be read for {target}: expected one image and one {_WANTED[target]}, found "
            f"features {', '.join(features)}."
        )
    return images[0], found[target][0], target


def _is_label(feature: Any) -> bool:
    inner = feature.feature if isinstance(feature, tfds.features.Sequence) else feature
    return isinstance(inner, tfds.features.ClassLabel)


def _is_objects(feature: Any) -> bool:
    inner = feature.feature if isinstance(feature, tfds.features.Sequence) else None
    return isinstance(inner, tfds.features.FeaturesDict) and all(_keys(inner))


def _is_mask(key: str, feature: Any) -> bool:
    named = any(word in key for word in ("mask", "segmentation"))
    return isinstance(feature, tfds.features.LabeledImage) or (named and type(feature) is tfds.features.Image)


def _keys(inner: Any) -> tuple[str, str]:
    """Names of the features of box and class in an object; "" where it has none, or several and none is "label"."""
    boxes = [key for key, feature in inner.items() if isinstance(feature, tfds.features.BBoxFeature)]
    labels = [key for key, feature in inner.items() if isinstance(feature, tfds.features.ClassLabel)]
    labels = ["label"] if "label" in labels else labels
    return boxes[0] if len(boxes) == 1 else "", labels[0] if len(labels) == 1 else ""


def _splits(name: str, builder: tfds.core.DatasetBuilder) -> list[tuple[str, str]]:
    """(its split, our part). Other splits, such as "unlabelled" or corrupted test sets, are not read."""
    found = [(split, PARTS[split]) for split in builder.info.splits if split in PARTS]
    if "train" not in [part for _, part in found]:
        raise InputError(f"datasets: tfds:{name} has no train split, only {', '.join(builder.info.splits) or 'none'}.")
    return found


def _rows(builder: tfds.core.DatasetBuilder, split: str, image: str, key: str, encoded: bool) -> Iterator[Row]:
    # In order and one file after another: the same rows under the same ids every time.
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    decoders = {name: tfds.decode.SkipDecoding() for name in ([image, key] if encoded else [image])}
    data = builder.as_dataset(split=split, decoders=decoders, read_config=config, shuffle_files=False)
    try:
        for index, row in enumerate(data.as_numpy_iterator()):
            yield bytes(row[image]), row[key], f"{builder.name}/{split}#{index}"
    except tf.errors.OpError as error:  # a shard that is cut short or damaged
        reason = error.message.splitlines()[0]
        raise InputError(f"datasets: {builder.data_dir}: split {split} cannot be read: {reason}") from error


def _listing(rows: list[Row], parts: np.ndarray, classes: tuple[str, ...], labels: np.ndarray, **more: Any) -> Listing:
    images, ids = objects([row[0] for row in rows]), objects([row[2] for row in rows])
    return Listing("encoded", images, labels, ids, parts, classes, **more)


def _names(name: str, names: list[str]) -> tuple[str, ...]:
    return check_classes([label.replace("/", "-").replace("\\", "-") for label in names], f"a label of tfds:{name}")


def _with_labels(name: str, feature: Any, rows: list[Row], parts: np.ndarray) -> Listing:
    several = not isinstance(feature, tfds.features.ClassLabel)
    classes = _names(name, (feature.feature if several else feature).names)
    written = [[int(value) for value in np.atleast_1d(row[1])] for row in rows]
    good = [index for index, labels in enumerate(written) if min(labels, default=0) >= 0]
    skipped = tuple(
        Skipped(row[2], "has no label") for row, labels in zip(rows, written, strict=True) if min(labels, default=0) < 0
    )
    labels = _labels([written[index] for index in good], len(classes), several)
    return _listing([rows[index] for index in good], parts[good], classes, labels, skipped=skipped)


def _labels(rows: list[list[int]], count: int, several: bool) -> np.ndarray:
    if not several:
        return np.array([labels[0] for labels in rows], np.int32)
    values = np.zeros((len(rows), count), np.float32)
    for index, labels in enumerate(rows):
        values[index, labels] = 1
    return values


def _with_boxes(name: str, feature: Any, rows: list[Row], parts: np.ndarray) -> Listing:
    box, label = _keys(feature.feature)
    classes = _names(name, feature.feature[label].names)
    counts = [len(row[1][label]) for row in rows]

    def joined(key: str, dtype: type) -> np.ndarray:
        return np.concatenate([np.zeros(0, dtype), *(np.ravel(row[1][key]).astype(dtype) for row in rows)])

    def marks(key: str) -> np.ndarray:
        return joined(key, bool) if key in feature.feature else np.zeros(sum(counts), bool)

    boxes = Boxes(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        joined(box, np.float64).reshape(-1, 4),
        joined(label, np.int32),
        marks("is_crowd"),
        marks("is_difficult"),
    )
    labels = np.zeros((len(rows), len(classes)), np.float32)
    return _listing(rows, parts, classes, labels, boxes=boxes, unit="share", declared=True)


def _with_masks(name: str, feature: Any, rows: list[Row], parts: np.ndarray) -> Listing:
    names = feature.names if getattr(feature, "num_classes", None) else []
    classes = _names(name, names)
    labels = np.zeros((len(rows), len(classes)), np.float32)
    masks = Masks(objects([bytes(row[1]) for row in rows]), pixels.read_values)
    return _listing(rows, parts, classes, labels, masks=masks, declared=bool(classes))
