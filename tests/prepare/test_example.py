from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import tensorflow as tf

from tfmap.prepare import example

INTS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5)
FLOATS = st.lists(st.floats(width=32, allow_nan=False), max_size=5).map(lambda values: np.array(values, np.float32))


@hypothesis.given(st.dictionaries(st.text(max_size=200), st.one_of(st.binary(max_size=300), INTS, FLOATS), max_size=6))
def test_tensorflow_reads_what_was_written(features):
    data, offsets = example.serialise(features)
    read = tf.train.Example.FromString(data).features.feature
    assert set(read) == set(features)
    for name, value in features.items():
        if isinstance(value, bytes):
            assert read[name].bytes_list.value == [value]
            assert data[offsets[name] : offsets[name] + len(value)] == value
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(read[name].float_list.value, value)
        else:
            assert read[name].int64_list.value == value


def test_the_order_of_the_features_does_not_matter():
    features = {"b": b"1", "a": [1, 2], "c": np.ones(2, np.float32)}
    assert example.serialise(features) == example.serialise(dict(reversed(features.items())))


def test_it_is_what_protobuf_calls_deterministic(jpegs):
    features = {"image/encoded": jpegs[0][0].read_bytes(), "label": [3], "boxes": np.arange(8, dtype=np.float32)}
    data, _ = example.serialise(features)
    assert tf.train.Example.FromString(data).SerializeToString(deterministic=True) == data
