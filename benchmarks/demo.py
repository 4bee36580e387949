"""The demo against its bar: time, accuracy of the float model, of its int8 file and of the pruned int8 file, sizes.

    python -m benchmarks.demo [--out RUN]

Runs `python -m tfmap.demo` in a process of its own (or takes the finished demo in RUN), then exports the unpruned model
as well and verifies both files.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import results
from tfmap import datasets, inference, verify
from tfmap import export as exporting


def main() -> None:
    """Run the demo, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=tempfile.mkdtemp(prefix="tfmap-demo-"))
    out = Path(parser.parse_args().out)
    seconds = None if (out / "report.html").exists() else _run(out)
    source = datasets.load("sample:trash", seed=0)
    model = inference.opened(out / "model.keras")
    plain = exporting.tflite(model, split=source.split("train"), classes=source.classes)
    rows = [_row(name, model, file, source) for name, file in (("int8", plain), ("pruned int8", out / "model.tflite"))]
    rows[1]["gzip_to_int8"] = rows[1]["gzip_kB"] / rows[0]["gzip_kB"]
    with open(out / "history.csv") as file:
        training = sum(float(row["seconds"]) for row in csv.DictReader(file))
    title = f"python -m tfmap.demo, of which training took {training:.0f} s"
    results.write("demo", title, rows, seconds=seconds, training_seconds=training)


def _run(out: Path) -> float:
    """The demo; seconds that it took."""
    start = time.perf_counter()
    code = subprocess.run([sys.executable, "-m", "tfmap.demo", f"out={out}"]).returncode
    if code not in (0, 1):  # 1: over its budget, which is a result
        sys.exit(code)
    return time.perf_counter() - start


def _row(name: str, model: object, file: object, source: object) -> dict:
    """One file beside the float model."""
    found = verify.verify(model, file, source.split("val"), classes=source.classes, budget=100)
    return {
        "file": name,
        "float_accuracy": found["metric"]["keras"],
        "accuracy": found["metric"]["file"],
        "agreement": found["agreement"],
        "kB": found["file"]["bytes"] / 1000,
        "gzip_kB": found["file"]["gzip_bytes"] / 1000,
        "float32_kB": found["float32"]["bytes"] / 1000,
        "float32_gzip_kB": found["float32"]["gzip_bytes"] / 1000,
        "float_tensors": len(found["file"]["float_tensors"]),
        "latency_to_float32": found["latency_ms"]["1"]["ratio"],
    }


if __name__ == "__main__":
    main()
