"""Flatbuffer tables from plain dicts, and back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.export.tables import Reader, encode

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
floats = st.lists(st.floats(width=32, allow_nan=False), max_size=5)


@settings(deadline=None)
@given(texts, st.integers(0, 255), floats, st.lists(texts, max_size=4))
def test_what_is_written_is_read(text, byte, numbers, names):
    fields = {0: text, 2: byte, 3: numbers, 5: {1: text}, 7: [{0: name} for name in names]}
    data = encode(fields, b"TEST")
    root = Reader.root(data)
    assert data[4:8] == b"TEST"
    assert (root.text(0), root.byte(2)) == (text, byte)
    assert root.floats(3) == tuple(np.float32(numbers).tolist())
    assert root.table(5).text(1) == text
    assert [table.text(0) for table in root.tables(7)] == names


def test_absent_fields_read_as_empty():
    root = Reader.root(encode({1: "there", 4: None}, b"TEST"))
    assert (root.text(0), root.byte(2), root.floats(3), root.table(4), root.tables(9)) == ("", 0, (), None, [])


def test_an_empty_table():
    assert Reader.root(encode({}, b"TEST")).text(0) == ""
