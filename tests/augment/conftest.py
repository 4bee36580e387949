"""A real batch, small."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def batch(photos):
    """Eight photographs of 32 x 48 pixels, two of each of four classes."""
    images, labels = photos
    chosen = np.arange(0, 32, 4)
    return {
        "image": np.ascontiguousarray(images[chosen, :32]),
        "label": labels[chosen],
        "weight": np.linspace(0.5, 1.5, 8).astype("float32"),
    }


@pytest.fixture(scope="session")
def marked(batch):
    """The batch with a box and a mask of one object in each picture, rows 8 to 20, columns 12 to 30."""
    boxes = np.zeros((8, 2, 4), "float32")
    boxes[:, 0] = [8, 12, 20, 30]
    classes = np.full((8, 2), -1, "int32")
    classes[:, 0] = batch["label"]
    mask = np.zeros((8, 32, 48), "int32")
    mask[:, 8:20, 12:30] = 1
    return {**batch, "boxes": boxes, "classes": classes, "mask": mask}
