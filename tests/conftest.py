"""What every test may use: real photographs, and a quiet TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import pytest
from PIL import Image

TRASH = Path(__file__).parents[1] / "tfmap" / "datasets" / "samples" / "trash"


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Tests neither read nor fill the user's cache."""
    os.environ["TFMAP_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def photo():
    """uint8 (h, w, 3): one real photograph."""
    return np.asarray(Image.open(sorted((TRASH / "glass").glob("*.jpg"))[0]).convert("RGB"))


@pytest.fixture(scope="session")
def photos():
    """uint8 (48, 48, 48, 3) and int32 (48,): eight real photographs of each of six classes."""
    folders = sorted(path for path in TRASH.iterdir() if path.is_dir())
    files = [(file, k) for k, folder in enumerate(folders) for file in sorted(folder.glob("*.jpg"))[:8]]
    images = np.stack([np.asarray(Image.open(file).convert("RGB").resize((48, 48))) for file, _ in files])
    return images, np.array([k for _, k in files], "int32")
