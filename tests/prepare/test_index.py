from __future__ import annotations

import numpy as np

from tfmap.prepare import index
from tfmap.source import Split


def split_of(count: int) -> Split:
    return Split("encoded", np.empty(count, object), np.zeros(count), np.empty(count, object), np.zeros(count, bool))


ROWS = [
    index.Row("a/ä.jpg", "00" * 16, (5, 10), (3, 4), [1]),
    index.Row("b/\udcff.jpg", "ff" * 16, (50, 7), (8, 9), [0, 2]),
]


def test_what_was_written_is_read_without_pickle(tmp_path):
    index.write(tmp_path / "a.npz", ROWS, {"shard": {"plan": "x"}}, split_of(2))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays["picture"].tolist() == [[5, 10], [50, 7]]
        assert arrays["sizes"].tolist() == [[3, 4], [8, 9]]
        assert (arrays["labels"].tolist(), arrays["label_starts"].tolist()) == ([1, 0, 2], [0, 1, 3])
        assert arrays["ids"].tobytes() == "a/ä.jpg".encode() + b"b/\xff.jpg"
    assert index.read_about(tmp_path / "a.npz") == {"shard": {"plan": "x"}}


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        index.write(tmp_path / name, ROWS, {"shard": {}}, split_of(2))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_shard_may_be_empty(tmp_path):
    index.write(tmp_path / "a.npz", [], {}, split_of(0))
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["picture"].shape == (0, 2)
        assert arrays["label_starts"].tolist() == [0]


def test_a_broken_index_is_no_index(tmp_path):
    index.write(tmp_path / "a.npz", ROWS, {}, split_of(2))
    data = (tmp_path / "a.npz").read_bytes()
    for length in (0, 10, len(data) // 2, len(data) - 1):
        (tmp_path / "b.npz").write_bytes(data[:length])
        assert index.read_about(tmp_path / "b.npz") is None
    assert index.read_about(tmp_path / "nothing.npz") is None
