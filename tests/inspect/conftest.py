"""Files that others made, which may ship with the tests (Apache-2.0, tests/data/tflite/LICENSE)."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference():
    """Folder of .tflite files from the TensorFlow Lite Support project."""
    return Path(__file__).parents[1] / "data" / "tflite"
