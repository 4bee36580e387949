"""The schema as data."""

from __future__ import annotations

from tfmap.export.metadata_schema import ENUMS, ROOT, TABLES, UNIONS


def test_every_kind_is_known():
    plain = {"string", "int", "uint", "float", "ubyte"}
    kinds = {kind.strip("[]") for fields in TABLES.values() for _, _, kind in fields}
    assert kinds <= plain | TABLES.keys() | ENUMS.keys() | UNIONS.keys()
    assert {table for union in UNIONS.values() for table in union[1:]} <= TABLES.keys()


def test_slots_are_those_of_the_schema():
    """Read off the compiled schema: ModelMetadata 8 fields, a union takes two slots, its value in the second."""
    assert [slot for slot, _, _ in TABLES[ROOT]] == list(range(8))
    assert TABLES["Content"] == ((1, "content_properties", "ContentProperties"), (2, "range", "ValueRange"))
    assert TABLES["ProcessUnit"] == ((1, "options", "ProcessUnitOptions"),)
    assert TABLES["SubGraphMetadata"][-1] == (9, "custom_metadata", "[CustomMetadata]")
    assert TABLES["FeatureProperties"] == ()
