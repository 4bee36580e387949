"""What a file holds, as plain values."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.export import metadata, metadata_fields
from tfmap.graph import Graph, Outline, Tensor

RUNTIME = "min_runtime_version"


def read(model: str | Path | bytes) -> dict[str, Any]:
    """See `inspect.inspect`."""
    data, outline = flatbuffer.load(model), flatbuffer.outline(model)
    main, packed, about = outline.subgraphs[0][1], metadata.files(model), metadata.as_json(model)
    graphs = _graphs(outline)
    found = {
        "bytes": len(data),
        "gzip_bytes": len(gzip.compress(data, mtime=0)),
        "sha256": hashlib.sha256(data).hexdigest(),
        "format": outline.graph.format,
        "description": outline.description,
        "schema": outline.schema,
        "min_runtime": outline.buffers.get(RUNTIME, b"").rstrip(b"\0").decode("utf-8", "replace"),
        "inputs": [_tensor(tensor) for tensor in main.inputs],
        "outputs": [_tensor(tensor) for tensor in main.outputs],
        "signatures": [{"key": one.key, "inputs": one.inputs, "outputs": one.outputs} for one in outline.signatures],
        "ops": dict(Counter(op.name for op in outline.graph.ops).most_common()),
        "subgraphs": graphs,
        "sizes": _sizes(len(data), outline, graphs, packed),
        "metadata": about,
        "labels": _labels(model, about, packed),
        "files": {name: len(content) for name, content in packed.items()},
        "tfmap": _own(model, packed),
    }
    return _plain(found)


def _graphs(outline: Outline) -> list[dict[str, Any]]:
    seen: set[int] = set()  # buffers, which tensors may share: each counts for the op that is the first to use it
    return [{"name": name, **_graph(graph, seen)} for name, graph in outline.subgraphs]


def _graph(graph: Graph, seen: set[int]) -> dict[str, Any]:
    ops = []
    for op in graph.ops:
        own = {one.buffer: one.nbytes for one in op.inputs if one.nbytes and one.buffer not in seen}
        seen |= own.keys()
        names = {"inputs": [one.name for one in op.inputs], "outputs": [one.name for one in op.outputs]}
        ops.append({"op": op.name, **names, "bytes": sum(own.values())})
    return {"ops": ops, "tensors": [_tensor(tensor) for tensor in graph.tensors]}


def _tensor(tensor: Tensor) -> dict[str, Any]:
    found = {**tensor.describe(), "bytes": tensor.nbytes}
    if tensor.is_open:
        found["shape_signature"] = list(tensor.shape_signature)
    return {**found, "channels": len(tensor.scale)} if len(tensor.scale) > 1 else found


def _sizes(total: int, outline: Outline, graphs: list[dict[str, Any]], packed: Mapping[str, bytes]) -> dict[str, int]:
    found = {
        "constants": sum(op["bytes"] for graph in graphs for op in graph["ops"]),
        "named_buffers": sum(map(len, outline.buffers.values())),
        "packed_files": sum(map(len, packed.values())),
    }
    return {**found, "structure": total - sum(found.values())}


def _labels(model: str | Path | bytes, about: Mapping | None, packed: Mapping[str, bytes]) -> dict[str, list[str]]:
    try:
        found = metadata_fields.label_files(about or {}, packed)
    except UnicodeDecodeError as error:
        raise InputError(f"{_name(model)} holds labels that are no UTF-8: {error}") from None
    return {locale: list(names) for locale, names in found.items()}


def _own(model: str | Path | bytes, packed: Mapping[str, bytes]) -> Any:
    try:
        return json.loads(packed[metadata_fields.OWN]) if metadata_fields.OWN in packed else None
    except ValueError as error:
        raise InputError(f"{_name(model)} holds a {metadata_fields.OWN} that is no JSON: {error}") from None


def _name(model: str | Path | bytes) -> str:
    return "the model" if isinstance(model, bytes) else str(model)


def _plain(value: Any) -> Any:
    """Values that JSON has: a scale of others may be infinite or no number."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
