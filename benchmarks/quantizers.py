"""Formats by engine on the embedded sample: accuracy, agreement with Keras, bytes, seconds of making, milliseconds.

    python -m benchmarks.quantizers [--models CACHE]

The demo's model, trained once; every file is made by both engines where both make it, with bias correction and without,
and run over the whole validation split. Files are timed in turns, one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np

import tfmap
from benchmarks import results, waste
from tfmap import export
from tfmap.export import representative
from tfmap.export.order import CALIBRATED, ENGINES
from tfmap.litert import LiteModel, latency_ms
from tfmap.source import Source

KEPT = 3  # layers of int8 kept in float, in one of the rows


def main() -> None:
    """Every format by every engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=tempfile.mkdtemp(prefix="tfmap-models-"))
    source = tfmap.load("sample:trash")
    model = waste.trained(source, 0, parser.parse_args().models)
    images, _ = representative.pictures(source.split("val"), shape=model.input_shape[1:])
    expected = model.predict(images, batch_size=64, verbose=0)
    rows, files = [], {}
    for name, how in _variants():
        start, found = time.monotonic(), {}
        files[name] = export.tflite(
            model, split=source.split("train"), classes=source.classes, watch=found.update, **how
        )
        rows.append({"file": name, "seconds": time.monotonic() - start, **_row(files[name], images, expected, source)})
        rows[-1] |= {"covered": (found.get("coverage") or {}).get("least_covered")}
        print(rows[-1], flush=True)
    times = latency_ms({name: LiteModel(file) for name, file in files.items()}, seconds=2 * len(files))
    rows = [{**row, "ms": times[row["file"]]["median"]} for row in rows]
    right = 100 * float(np.mean(expected.argmax(1) == source.split("val").labels))
    results.write("quantizers", f"The demo's model, {right:.1f}% right in Keras, as a file", rows)


def _variants() -> list[tuple[str, dict]]:
    """Name -> keywords of `export.tflite`."""
    found = []
    for name, engines in ENGINES.items():
        for engine in engines:
            how = {"format": name, "engine": engine}
            if name in CALIBRATED:
                found.append((f"{name} {engine}, no correction", {**how, "bias_correction": False}))
            found.append((f"{name} {engine}", how))
    kept = [
        (f"int8 {engine}, {KEPT} layers float", {"engine": engine, "keep_float": KEPT}) for engine in ENGINES["int8"]
    ]
    return found + kept


def _row(file: bytes, images: np.ndarray, expected: np.ndarray, source: Source) -> dict[str, float]:
    scores = LiteModel(file, threads=2).predict(images)
    labels = source.split("val").labels
    return {
        "bytes": len(file),
        "right": 100 * float(np.mean(scores.argmax(1) == labels)),
        "agree": 100 * float(np.mean(scores.argmax(1) == expected.argmax(1))),
        "mean_gap": float(np.abs(scores - expected).mean()),
    }


if __name__ == "__main__":
    main()
