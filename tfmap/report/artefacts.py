"""The headline: size, accuracy and latency of everything that a run can ship."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfmap.report import facts
from tfmap.runs import Run

MOST_ZIPPED = 64_000_000  # bytes; beyond it the wait for one number is too long


def readable_size(count: int) -> str:
    """Bytes for people: 98,496 is "98.5 kB"."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def collect(run: Run, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the headline table; accuracies are those of the validation split, on which files are compared.

    Args:
        run: the run folder.
        metrics: split -> numbers, of model.keras.

    Returns:
        list: dicts of "name", "file", "bytes", "gzip" (bytes), "ratio" (times smaller than the Keras file), "accuracy",
            "latency" (ms, median, one thread) and "note"; None where nothing was measured.
    """
    verify = facts.read(run, "verify.json") or {}
    against = verify.get("against")
    scored = {against: verify["keras"]["accuracy"]} if against else {}
    if "val" in metrics:
        scored["model.keras"] = metrics["val"]["accuracy"]
    rows = [_keras(run, "model.keras", "Keras, as trained", scored)]
    if run.has("compressed.keras"):
        rows.append(_keras(run, "compressed.keras", "Keras, compressed", scored))
    if verify:
        rows.append(_float(verify))
    if run.has("model.tflite"):
        rows.append(_lite(run, verify))
    return [{**row, "ratio": rows[0]["bytes"] / row["bytes"]} for row in rows]


def _keras(run: Run, name: str, title: str, scored: Mapping[str, float]) -> dict[str, Any]:
    return {**_file(run.file(name), title), "accuracy": scored.get(name), "latency": None, "note": ""}


def _file(path: Path, title: str) -> dict[str, Any]:
    size = path.stat().st_size
    zipped = len(gzip.compress(path.read_bytes(), mtime=0)) if size <= MOST_ZIPPED else None
    return {"name": title, "file": path.name, "bytes": size, "gzip": zipped}


def _float(verify: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "LiteRT, float32",
        "file": "not kept",
        "bytes": verify["float32"]["bytes"],
        "gzip": verify["float32"]["gzip_bytes"],
        "accuracy": None,
        "latency": verify["latency_ms"]["1"]["float32"]["median"],
        "note": "the yardstick of verify",
    }


def _lite(run: Run, verify: Mapping[str, Any]) -> dict[str, Any]:
    row = _file(run.file("model.tflite"), "LiteRT")
    if not verify:
        return {**row, "accuracy": None, "latency": None, "note": "not verified yet"}
    return {
        **row,
        "name": f"LiteRT, {verify['file']['format']}",
        "accuracy": verify["file_metrics"]["accuracy"],
        "latency": verify["latency_ms"]["1"]["file"]["median"],
        "note": f"{verify['file']['input']['dtype']} in, {verify['file']['output']['dtype']} out",
    }


def cards(rows: list[Mapping[str, Any]], model: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """The numbers that a reader looks for first: dicts of "name", "value" and "note"."""
    found = []
    for name, row in metrics.items():
        note = f"{row['examples']:,} pictures, Keras"
        found.append(_card(f"{facts.SPLIT_NAMES.get(name, name)} accuracy", f"{row['accuracy']:.1%}", note))
    last = rows[-1]
    if last["file"] == "model.tflite":
        note = f"{last['ratio']:.1f} times smaller than model.keras"
        found.append(_card("file for the phone", readable_size(last["bytes"]), note))
        if last["accuracy"] is not None:
            found.append(_card("its accuracy", f"{last['accuracy']:.1%}", "validation, measured in LiteRT"))
            found.append(_card("its latency", f"{last['latency']:.2f} ms", "median, one thread of this machine"))
    else:
        found.append(_card("model.keras", readable_size(rows[0]["bytes"]), "not exported yet"))
    return [*found, _card("parameters", f"{model['parameters']:,}", f"{model['layers']} layers")][:6]


def _card(name: str, value: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "note": note}


def verdict(verify: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """verify.json as the page shows it: the file itself, and its operations counted by name."""
    if not verify:
        return None
    return {**verify, "operations": Counter(op["op"] for op in verify["file"]["ops"]).most_common()}
