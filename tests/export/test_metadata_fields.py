"""A classifier's metadata as the standard has it, and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmap.export import metadata_fields, tables
from tfmap.export.metadata import Metadata

lines = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12)
shares = st.floats(0, 1)
locales = st.sampled_from(["de", "fr", "pt-BR", "zh-Hant"])


@st.composite
def metadatas(draw):
    labels = draw(st.lists(lines, min_size=1, max_size=4))
    count = len(labels)
    each = st.lists(lines, min_size=count, max_size=count).map(tuple)
    return Metadata(
        labels=tuple(labels),
        **{name: draw(lines) for name in ("name", "description", "version", "author", "license")},
        color_space=draw(st.sampled_from(["rgb", "grayscale", "unknown"])),
        translations=draw(st.dictionaries(locales, each, max_size=2)),
        # Unequal ones: equal ones are also written as the standard's float32, which tfmap.json outranks.
        thresholds=draw(st.just(()) | st.lists(shares, min_size=count, max_size=count).map(tuple)),
        temperature=draw(st.none() | st.floats(0.01, 100)),
        about=draw(st.dictionaries(lines, lines | st.integers(), max_size=3).filter(
            lambda d: not d.keys() & {"thresholds", "temperature"}
        )),
    )  # fmt: skip


@settings(deadline=None)
@given(metadatas())
def test_what_is_said_is_heard(metadata):
    packed = {name: text.encode() for name, text in metadata_fields.files(metadata).items()}
    root = tables.decode(tables.encode(metadata_fields.fields(metadata)))
    assert Metadata(**metadata_fields.attributes(root, packed)) == metadata


def test_label_files_of_others(reference):
    """A detector's labels stand with its second output, as names of values."""
    root = json.loads((reference / "metadata_json" / "ssd_mobilenet_v1.json").read_text())
    assert metadata_fields.label_files(root, {"labelmap.txt": b"person\nbicycle"}) == {"": ("person", "bicycle")}
    assert metadata_fields.label_files(root, {}) == {}
    assert metadata_fields.label_files({}, {}) == {}


@pytest.mark.parametrize("missing", ["subgraph_metadata", "input_tensor_metadata", "output_tensor_metadata"])
def test_metadata_of_no_classifier(missing):
    whole = {"subgraph_metadata": [{"input_tensor_metadata": [{}], "output_tensor_metadata": [{}]}]}
    assert metadata_fields.attributes(whole, {})["labels"] == ()
    whole.pop(missing, None)
    for graph in whole.get("subgraph_metadata", []):
        graph.pop(missing, None)
    with pytest.raises(KeyError, match=missing):
        metadata_fields.attributes(whole, {})
