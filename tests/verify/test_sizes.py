"""Where the bytes are."""

from __future__ import annotations

import hashlib

from tfmap import flatbuffer
from tfmap.verify import sizes


def test_every_constant_counts_once(lite_files):
    graph = flatbuffer.read(lite_files["int8"])
    rows = sizes.layers(graph)
    assert sum(row["bytes"] for row in rows) == sum(tensor.nbytes for tensor in graph.tensors)
    assert [row["bytes"] for row in rows] == sorted((row["bytes"] for row in rows), reverse=True)
    assert (rows[0]["op"], rows[0]["bytes"]) == ("CONV_2D", 32 * 3 * 3 * 16 + 4 * 32)
    assert all(0 < row["gzip_bytes"] <= row["bytes"] + 40 for row in rows)


def test_a_file_is_described_with_its_hash(lite_files):
    found = sizes.described(lite_files["int8"], flatbuffer.read(lite_files["int8"]))
    assert found["sha256"] == hashlib.sha256(lite_files["int8"]).hexdigest()
    assert found["gzip_bytes"] < found["bytes"] == len(lite_files["int8"])
