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
