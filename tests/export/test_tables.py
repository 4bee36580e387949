"""Metadata between flatbuffers and plain dicts: of others, and of every field that the schema has."""

from __future__ import annotations

import contextlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.errors import InputError
from tfmap.export.metadata_schema import ENUMS, TABLES, UNIONS
from tfmap.export.tables import BROKEN, decode, encode

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
NUMBERS = {
    "uint": st.integers(0, 2**32 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    # the shortest decimal of a float32, as JSON has it
    "float": st.floats(width=32, allow_nan=False).map(lambda x: float(str(np.float32(x)))),
    "ubyte": st.integers(0, 255),
    "string": texts,
}


def values(kind):
    """Any value of a kind of the schema."""
    if kind in NUMBERS:
        return NUMBERS[kind]
    if kind in ENUMS:
        return st.sampled_from(ENUMS[kind])
    if kind.startswith("["):
        return st.lists(values(kind[1:-1]), max_size=3)
    return st.deferred(lambda: rows(kind))


def rows(table):
    """Any dict of a table: each field is there or not."""
    plain = {name: values(kind) for _, name, kind in TABLES[table] if kind not in UNIONS}
    found = st.fixed_dictionaries({}, optional=plain)
    for _, name, kind in TABLES[table]:
        if kind in UNIONS:
            found = st.tuples(found, st.none() | unions(name, kind)).map(lambda pair: {**pair[0], **(pair[1] or {})})
    return found


def unions(name, kind):
    options = [st.fixed_dictionaries({f"{name}_type": st.just(one), name: rows(one)}) for one in UNIONS[kind][1:]]
    return st.one_of(options)


@pytest.mark.parametrize("table", TABLES)
@settings(deadline=None, max_examples=30)
@given(st.data())
def test_what_is_written_is_read(table, data):
    value = data.draw(rows(table))
    assert decode(encode(value, table), table) == value


@pytest.mark.parametrize("name", [
    "coco_ssd_mobilenet_v1_score_calibration", "coco_ssd_mobilenet_v1_score_calibration_dummy", "deeplabv3",
    "deeplabv3_default", "efficientdet_lite0_v1", "efficientdet_lite0_v1_default", "mobilenet_v2_1.0_224",
    "mobilenet_v2_1.0_224_default", "mobilenet_v2_1.0_224_quant", "ssd_mobilenet_v1", "ssd_mobilenet_v1_default",
])  # fmt: skip
def test_metadata_of_others_goes_there_and_back(reference, name):
    value = json.loads((reference / "metadata_json" / f"{name}.json").read_text())
    assert decode(encode(value)) == value


def test_a_default_that_is_said_is_kept():
    assert decode(encode({"min": 0, "max": 0}, "ValueRange"), "ValueRange") == {"min": 0, "max": 0}
    assert decode(encode({}, "ValueRange"), "ValueRange") == {}


def test_bytes_lie_at_a_multiple_of_sixteen():
    """They are a flatbuffer of their own, read where they lie."""
    payload = bytes(range(200, 240))
    data = encode({"name": "DETECTOR_METADATA", "data": list(payload)}, "CustomMetadata")
    assert data.index(payload) % 16 == 0


def test_a_value_of_a_later_schema_stays_a_number():
    data = bytearray(encode({"color_space": "GRAYSCALE"}, "ImageProperties"))
    at = data.rindex(2)
    data[at] = 77
    assert decode(bytes(data), "ImageProperties") == {"color_space": 77}


def test_a_union_of_a_later_schema_is_named_by_its_number():
    data = encode(
        {"options_type": "ScoreThresholdingOptions", "options": {"global_score_threshold": 0.5}}, "ProcessUnit"
    )
    changed = [data[:at] + b"\x63" + data[at + 1 :] for at, byte in enumerate(data) if byte == 3]
    assert {"options_type": 99} in [decoded(one) for one in changed]


def decoded(data):
    try:
        return decode(data, "ProcessUnit")
    except BROKEN:
        return None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {"nme": "x"},
            "TFLite Metadata: ModelMetadata has no field 'nme'. Its fields: name, description, version, sub",
        ),
        (
            {"associated_files": [{"type": "LABELS"}]},
            "TFLite Metadata: 'LABELS' is no AssociatedFileType. Known: UNKNO",
        ),
        (
            {"subgraph_metadata": [{"input_process_units": [{"options_type": "X", "options": {}}]}]},
            "TFLite Metadata: 'X' is no ProcessUnitOptions. Known: NONE, NormalizationOptions, ",
        ),
        (
            {"subgraph_metadata": [{"input_process_units": [{"options": {}}]}]},
            "TFLite Metadata: None is no ProcessUnitOptions.",
        ),
    ],
)
def test_what_the_schema_does_not_have_is_refused(value, text):
    with pytest.raises(InputError) as error:
        encode(value)
    assert str(error.value).startswith(text)


def test_a_close_name_is_suggested():
    with pytest.raises(InputError, match=r"Did you mean 'license'\?$"):
        encode({"licence": "MIT"})


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(BROKEN):
        assert isinstance(decode(data), dict)


def test_no_bytes():
    with pytest.raises(struct.error):
        decode(b"")
