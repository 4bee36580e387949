"""What a file holds, for people: printed tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

MANY = 12  # labels that are shown; the rest is counted
WIDTH = 110  # where the output is no terminal


def show(found: Mapping[str, Any], name: str) -> None:
    """Print what `inspect` found.

    Args:
        found: its dict.
        name: of the file.
    """
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    console.print(_heading(found, name), soft_wrap=True, markup=False)
    console.print(_tensors(found))
    console.print(_layers(found))
    console.print(_sizes(found), soft_wrap=True, markup=False)
    console.print(_metadata(found), soft_wrap=True, markup=False)


def _heading(found: Mapping[str, Any], name: str) -> str:
    runtime = f", runtime {found['min_runtime']} or later" if found["min_runtime"] else ""
    ops = ", ".join(f"{count} {op}" for op, count in found["ops"].items())
    lines = [
        f"{name}: {found['bytes']:,} bytes ({found['gzip_bytes']:,} gzip), {found['format']} inside{runtime}",
        f"sha256 {found['sha256']}",
        f"made by: {found['description'] or 'unknown'}",
        f"ops: {ops or 'none'}",
    ]
    return "\n".join(lines)


def _tensors(found: Mapping[str, Any]) -> Table:
    table = Table("", "name", "dtype", "shape", "scale", "zero point", box=None, pad_edge=False)
    for side in ("inputs", "outputs"):
        for tensor in found[side]:
            scale = "" if tensor["scale"] is None else _number(tensor["scale"])
            zero = "" if tensor["zero_point"] is None else str(tensor["zero_point"])
            table.add_row(side[:-1], escape(tensor["name"]), tensor["dtype"], _shape(tensor), scale, zero)
    return table


def _layers(found: Mapping[str, Any]) -> Table:
    table = Table("#", "op", "output", "dtype", "shape", box=None, pad_edge=False)
    for title in ("bytes", "of file"):
        table.add_column(title, justify="right")
    for graph in found["subgraphs"]:
        tensors = {tensor["name"]: tensor for tensor in graph["tensors"]}
        for index, op in enumerate(graph["ops"]):
            table.add_row(str(index), escape(op["op"]), *_output(op, tensors), *_weight(op["bytes"], found["bytes"]))
    return table


def _output(op: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Any]]) -> tuple[str, str, str]:
    if not op["outputs"]:
        return "", "", ""
    tensor = tensors[op["outputs"][0]]
    return escape(_short(tensor["name"])), tensor["dtype"], _shape(tensor)


def _weight(size: int, total: int) -> tuple[str, str]:
    return (f"{size:,}", f"{100 * size / total:.1f}%") if size else ("", "")


def _sizes(found: Mapping[str, Any]) -> str:
    parts = (f"{name.replace('_', ' ')} {size:,}" for name, size in found["sizes"].items())
    return f"bytes: {', '.join(parts)}"


def _metadata(found: Mapping[str, Any]) -> str:
    about = found["metadata"]
    if about is None:
        return "metadata: none"
    keys = ("name", "description", "version", "author", "license")
    lines = ["metadata:", *(f"  {key}: {about[key]}" for key in keys if about.get(key))]
    for graph in about.get("subgraph_metadata", []):
        for side in ("input", "output"):
            lines += [f"  {side} {_about(tensor)}" for tensor in graph.get(f"{side}_tensor_metadata", [])]
    lines += [f"  labels{f' ({locale})' * bool(locale)}: {_some(names)}" for locale, names in found["labels"].items()]
    lines += [f"  file {name}: {size:,} bytes" for name, size in found["files"].items()]
    lines += [f"  {key}: {value}" for key, value in (found["tfmap"] or {}).items()]
    return "\n".join(lines)


def _about(tensor: Mapping[str, Any]) -> str:
    kind = tensor.get("content", {}).get("content_properties_type", "unknown")
    units = [
        f"{unit.get('options_type')} {_options(unit.get('options', {}))}".rstrip()
        for unit in tensor.get("process_units", [])
    ]
    return "; ".join([f"{tensor.get('name', '')}: {kind}", *units])


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in options.items())


def _some(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more


def _shape(tensor: Mapping[str, Any]) -> str:
    """Such as 1x224x224x3, with ? where a size is open."""
    sizes = tensor.get("shape_signature", tensor["shape"])
    return "x".join("?" if size < 0 else str(size) for size in sizes) or "()"


def _short(name: str) -> str:
    """The end of a long name, where it says most."""
    return name if len(name) <= 40 else f"...{name[-37:]}"


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
