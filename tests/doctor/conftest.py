"""Small folders of real photographs, and surveys of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfmap.datasets import samples
from tfmap.datasets.listing import Listing, objects
from tfmap.datasets.scan import scan
from tfmap.datasets.survey import Survey


def encoded(image, format="JPEG", **options):
    """A picture as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def glass():
    """The bytes of 40 photographs, all different."""
    return [path.read_bytes() for path in sorted((samples.folder("trash") / "glass").glob("*.jpg"))[:40]]


@pytest.fixture(scope="session")
def photograph(glass):
    """One photograph, as Pillow has it."""
    return Image.open(io.BytesIO(glass[0])).convert("RGB")


@pytest.fixture
def write(tmp_path, glass):
    """{"a/1.jpg": 3 or bytes} -> a folder that holds photograph 3 there."""

    def write(places) -> Path:
        for place, what in places.items():
            path = tmp_path / "data" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(what if isinstance(what, bytes) else glass[what])
        return tmp_path / "data"

    return write


@pytest.fixture
def listed():
    """Encoded pictures with labels and parts -> the survey of them."""

    def listed(images, labels=None, parts=None, classes=("a", "b", "c"), **targets):
        count = len(images)
        labels = np.zeros(count, np.int32) if labels is None else np.array(labels)
        parts = objects(parts or ["train"] * count)
        ids = objects([f"picture {i}" for i in range(count)])
        listing = Listing("encoded", objects(images), labels, ids, parts, classes, **targets)
        return Survey("by hand", listing, scan(listing, "by hand"), parts, ())

    return listed


def four_each(**more):
    """Two classes with four photographs each."""
    return {**{f"{label}/{i}.jpg": 4 * j + i for j, label in enumerate("ab") for i in range(4)}, **more}


def kinds(cases):
    """The names of the kinds that occur."""
    return {case.kind.name for case in cases}
