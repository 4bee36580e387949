"""Golden test vectors."""

from __future__ import annotations

import numpy as np

from tfmap.export import golden
from tfmap.litert import LiteModel


def test_the_file_gives_its_vectors_again(lite_files, trash_split, trash_classes, tmp_path):
    golden.write(
        tmp_path / "golden.npz", golden.vectors(lite_files["int8"], trash_split, classes=trash_classes, count=6)
    )
    with np.load(tmp_path / "golden.npz") as found:
        vectors = dict(found)
    model = LiteModel(lite_files["int8"])
    assert vectors["images"].shape == (6, 48, 48, 3)
    assert (vectors["images"].dtype, vectors["outputs"].dtype) == (np.uint8, np.uint8)
    np.testing.assert_array_equal(model.raw(vectors["images"]), vectors["outputs"])
    np.testing.assert_array_equal(model.predict(vectors["images"]), vectors["scores"])
    assert vectors["labels"].tolist() == [trash_classes[k] for k in vectors["scores"].argmax(1)]
    assert len(set(vectors["labels"].tolist())) == 6  # one of each class, and the model knows them by heart
    assert set(vectors["ids"].tolist()) < set(trash_split.ids.tolist())
