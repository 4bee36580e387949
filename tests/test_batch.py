"""The batch contract."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfmap import batch
from tfmap.errors import InputError, did_you_mean

GOOD = {
    "image": np.zeros((2, 8, 8, 3), "uint8"),
    "label": np.zeros(2, "int32"),
    "weight": np.ones(2, "float32"),
    "id": tf.constant(["a", "b"]),
}


def test_a_good_batch_passes_unchanged():
    assert batch.check(GOOD) is GOOD


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"image": None}, "key 'image' is missing. Keys present: id, label, weight"),
        ({"lable": np.zeros(2, "int32")}, "unknown key 'lable'.*Did you mean 'label'"),
        ({"image": np.zeros((2, 8, 8, 3), "float64")}, "'image' must be uint8 or float32 of rank 4, received float64"),
        (
            {"label": np.zeros((2, 1, 1), "int32")},
            r"'label' must be .* of rank 1 or 2, received int32 of shape \(2, 1, 1\)",
        ),
        ({"weight": np.ones(3, "float32")}, "every key needs the same first dimension"),
    ],
)
def test_a_bad_batch_is_explained(change, text):
    bad = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(InputError, match=text):
        batch.check(bad)


def test_no_hint_where_nothing_is_close():
    assert did_you_mean("zzz", ["flip", "rotate"]) == ""
