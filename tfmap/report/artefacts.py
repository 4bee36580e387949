"""The headline: size, accuracy and latency of everything that a run can ship."""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfmap import tasks
from tfmap.report import facts
from tfmap.runs import Run

MOST_ZIPPED = 64_000_000  # bytes; beyond it the wait for one number is too long
# What a verify.json of tfmap 0.1 lacks.
_ADDED = {"findings": [], "sizes": []} | dict.fromkeys(("layers", "runtimes", "memory", "clients", "browser"))


def readable_size(count: int) -> str:
    """Bytes for people: 98,496 is "98.5 kB"."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def collect(run: Run, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the headline table; scores are those of the validation split, on which files are compared.

    Args:
        run: the run folder.
        metrics: split -> numbers, of model.keras.

    Returns:
        list: dicts of "name", "file", "bytes", "gzip" (bytes), "ratio" (times smaller than the Keras file), "score"
            (of `metric`), "latency" (ms, median, one thread) and "note"; None where nothing was measured.
    """
    verify = facts.read(run, "verify.json") or {}
    against = verify.get("against")
    compressed = (facts.read(run, "compress.json") or {}).get("scores", {})
    scored = {"compressed.keras": compressed.get(metric(metrics))}
    if against:
        scored[against] = verify["metric"]["keras"]
    if "val" in metrics:
        scored["model.keras"] = metrics["val"][metric(metrics)]
    rows = [_keras(run, "model.keras", "Keras, as trained", scored)]
    if run.has("compressed.keras"):
        rows.append(_keras(run, "compressed.keras", "Keras, compressed", scored))
    if verify:
        rows.append(_float(verify))
    rows += [_lite(folder, verify) for folder in (run, run.candidate()) if folder.has("model.tflite")]
    return [{**row, "ratio": rows[0]["bytes"] / row["bytes"]} for row in rows]


def _keras(run: Run, name: str, title: str, scored: Mapping[str, float]) -> dict[str, Any]:
    return {**_file(run.file(name), title), "score": scored.get(name), "latency": None, "note": ""}


def _file(path: Path, title: str) -> dict[str, Any]:
    size = path.stat().st_size
    zipped = len(gzip.compress(path.read_bytes(), mtime=0)) if size <= MOST_ZIPPED else None
    return {"name": title, "file": path.name, "bytes": size, "gzip": zipped}


def _float(verify: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "LiteRT, float32",
        "file": "made by verify",
        "bytes": verify["float32"]["bytes"],
        "gzip": verify["float32"]["gzip_bytes"],
        "score": None,
        "latency": verify["latency_ms"]["1"]["float32"]["median"],
        "note": "",
    }


def _lite(run: Run, verify: Mapping[str, Any]) -> dict[str, Any]:
    path, waits = run.file("model.tflite"), run.path.name == "candidate"
    row = _file(path, "LiteRT")
    row["file"] = "candidate/model.tflite" if waits else row["file"]
    if not verify or verify["file"].get("sha256", _sha256(path)) != _sha256(path):
        return {**row, "score": None, "latency": None, "note": "not verified yet"}
    note = f"{verify['file']['input']['dtype']} in, {verify['file']['output']['dtype']} out"
    return {
        **row,
        "name": f"LiteRT, {verify['file']['format']}",
        "score": verify["metric"]["file"],
        "latency": verify["latency_ms"]["1"]["file"]["median"],
        "note": f"{note}; did not pass, not published" if waits else note,
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def metric(metrics: Mapping[str, Any]) -> str:
    """The number by which models are compared, of the first split that was scored."""
    return tasks.headline(next(iter(metrics.values()), {}))


def cards(rows: list[Mapping[str, Any]], metrics: Mapping[str, Any], verify: Mapping[str, Any] | None) -> list[dict]:
    """The numbers that a reader looks for first: dicts of "name", "value", "note" and "mark" (yes, no or empty)."""
    name, found = metric(metrics), []
    for split, row in metrics.items():
        found.append(
            _card(
                f"{facts.SPLIT_NAMES.get(split, split)} {name}",
                "-" if row[name] is None else f"{row[name]:.1%}",
                f"{row['examples']:,} pictures, Keras",
            )
        )
    last = rows[-1]
    if not last["file"].endswith(".tflite"):
        return [*found, _card("model.keras", readable_size(rows[0]["bytes"]), "not exported yet")]
    smaller = f"{last['ratio']:.1f} times smaller than model.keras"
    found.append(_card("file for the phone", readable_size(last["bytes"]), smaller))
    if verify and last["score"] is not None:
        found += [
            _card(f"its {verify['metric']['name']}", f"{last['score']:.1%}", "validation, in LiteRT"),
            _card("its latency", f"{last['latency']:.2f} ms", "one thread, this machine"),
            _verdict_card(verify),
        ]
    return found


def _verdict_card(verify: Mapping[str, Any]) -> dict[str, str]:
    note = f"{verify['metric']['drop_points']:.2f} points lost of {verify['metric']['budget']:g} allowed"
    value, mark = ("passed", "yes") if verify["passed"] else ("failed", "no")
    return _card("file against model", value, note, mark)


def _card(name: str, value: str, note: str, mark: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "note": note, "mark": mark}


def verdict(verify: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """verify.json as the page shows it: the file itself, and its operations counted by name."""
    if not verify:
        return None
    return {**_ADDED, **verify, "operations": Counter(op["op"] for op in verify["file"]["ops"]).most_common()}
