"""Files of compressed models pass beside the Keras model that compression left."""

from __future__ import annotations

import pytest

from tfmap import export, verify
from tfmap.compress import compress
from tfmap.source import Source

pytestmark = pytest.mark.slow  # minutes of conversion and training on two cores


@pytest.fixture(scope="module")
def source(trash_split, trash_classes):
    return Source("photos", trash_classes, {"train": trash_split, "val": trash_split})


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["prune(0.6)", "qat", "prune(0.6)|qat"])
def test_what_compression_changed_is_no_damage(classifier, source, trash_split, trash_classes, recipe):
    small = compress(classifier, source, recipe=recipe, epochs=2, verbose=False)
    quantised = hasattr(small, "to_tflite")
    twin = small.model if quantised else small
    file = export.tflite(small.to_tflite() if quantised else small, split=trash_split, classes=trash_classes)
    known = {"classes": trash_classes, "twin": twin, "budget": 100, "seconds": 0.01}
    found = verify.verify(classifier, file, trash_split, **known)
    assert found["failures"] == []
    assert found["kernels"]["compared"] == 5
    if recipe != "qat":
        assert found["file"]["sparsity"] > 0.45  # the first and the last kernel are left whole
