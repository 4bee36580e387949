"""Small sources of every kind, of real photographs."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
import pytest
from PIL import Image

import tfmap.datasets.samples as samples
from tfmap.source import Boxes, Masks, Source, Split

CLASSES = ("cardboard", "glass", "metal")


def objects(values) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def encoded(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.fixture(scope="session")
def jpegs():
    """Paths of 60 photographs, 20 of each of three classes, and their labels."""
    folder = samples.folder("trash")
    found = [(path, k) for k, name in enumerate(CLASSES) for path in sorted((folder / name).glob("*.jpg"))[:20]]
    return [path for path, _ in found], np.array([k for _, k in found], np.int32)


@pytest.fixture
def pictures(tmp_path, jpegs):
    """A folder of 60 photographs in class folders, the test's own."""
    for path, label in zip(*jpegs, strict=True):
        place = tmp_path / "pictures" / CLASSES[label] / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    return tmp_path / "pictures"


def shape(path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size[::-1]


def resized(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((48, 32)))


def mask_of(item: int, heights: dict[int, tuple[int, int]]) -> np.ndarray:
    """A mask of three classes and the ignored value, another for each picture."""
    mask = np.full(heights[item], item % 3, np.uint8)
    mask[: mask.shape[0] // 3, : 10 + item] = 255
    return mask


@pytest.fixture
def annotated(jpegs):
    """Source of 12 photographs with boxes and masks; the last has no box."""
    paths = jpegs[0][::5]
    sizes = {row: shape(path) for row, path in enumerate(paths)}
    counts = [row % 3 + 1 for row in range(11)] + [0]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    random = np.random.default_rng(0)
    corners = np.sort(random.uniform(0, 100, (starts[-1], 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    classes = random.integers(0, 3, starts[-1]).astype(np.int32)
    labels = np.zeros((12, 3), np.float32)
    labels[np.repeat(np.arange(12), counts), classes] = 1
    boxes = Boxes(starts, corners, classes, random.random(starts[-1]) < 0.3, random.random(starts[-1]) < 0.3)
    split = Split(
        "path",
        objects([str(path) for path in paths]),
        labels,
        objects([str(path) for path in paths]),
        np.zeros(12, bool),
        boxes,
        Masks(np.arange(12), partial(mask_of, heights=sizes)),
    )
    return Source("hand-made", CLASSES, {"train": split}, multi_label=True, target="boxes")


@pytest.fixture
def kinds(jpegs):
    """Kind of a split -> Source of the same 30 photographs."""
    paths, labels = jpegs[0][::2], jpegs[1][::2]
    names, odd = objects([f"photo {row}" for row in range(30)]), np.zeros(30, bool)
    held = {
        "path": objects([str(path) for path in paths]),
        "encoded": objects([path.read_bytes() for path in paths]),
        "pixels": np.stack([resized(path) for path in paths]),
    }
    return {
        kind: Source(kind, CLASSES, {"train": Split(kind, images, labels, names, odd)}) for kind, images in held.items()
    }
