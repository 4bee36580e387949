from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import tensorflow as tf

from tfmap.prepare import tfrecord


def test_the_check_value_of_the_catalogue():
    """Source: the catalogue of CRCs of the RevEng project, CRC-32/ISCSI."""
    assert tfrecord.crc32c(b"123456789") == 0xE3069283
    assert tfrecord.crc32c(b"") == 0


@hypothesis.given(st.binary(max_size=3 * tfrecord._BLOCK))
@hypothesis.example(bytes(tfrecord._SHORT))
@hypothesis.example(bytes(tfrecord._BLOCK))
@hypothesis.example(b"\xff" * (tfrecord._BLOCK + 1))
def test_blocks_give_what_bytes_give(data):
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
    assert tfrecord.crc32c(data) == state ^ 0xFFFFFFFF


def test_a_file_is_the_one_that_tensorflow_writes(tmp_path, jpegs):
    contents = [b"", b"x", *(path.read_bytes() for path in jpegs[0])]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for content in contents:
            writer.write(content)
    assert b"".join(map(tfrecord.frame, contents)) == (tmp_path / "theirs").read_bytes()
