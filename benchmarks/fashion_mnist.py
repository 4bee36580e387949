"""Fashion-MNIST from scratch: ten epochs on all 60,000 pictures, and the int8 file on the 10,000 of the test part.

    python -m benchmarks.fashion_mnist FOLDER [--out RUN]

FOLDER holds the four idx files. Trains configs/classification_fashion_mnist.yaml, a quarter of an hour on two cores, or
takes the finished training in RUN.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import results
from tfmap.runs import Run

CONFIG = "configs/classification_fashion_mnist.yaml"


def main() -> None:
    """Train, export, verify, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--out", default=tempfile.mkdtemp(prefix="tfmap-fashion-"))
    arguments = parser.parse_args()
    run = Run(Path(arguments.out))
    if not run.has("model.keras"):
        _stage("train", CONFIG, f"datasets.source={arguments.folder}", f"out={run.path}")
    _stage("export", str(run.path))
    _stage("verify", str(run.path))
    found = run.read_json("verify.json")
    with open(run.file("history.csv")) as file:
        history = list(csv.DictReader(file))
    row = {
        "epochs": len(history),
        "test_pictures": found["examples"],
        "float_accuracy": found["metric"]["keras"],
        "int8_accuracy": found["metric"]["file"],
        "agreement": found["agreement"],
        "int8_bytes": found["file"]["bytes"],
        "float_tensors": len(found["file"]["float_tensors"]),
        "latency_to_float32": found["latency_ms"]["1"]["ratio"],
    }
    results.write("fashion_mnist", "Fashion-MNIST, tfmap_tiny, from scratch", [row], history=history)


def _stage(name: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", f"tfmap.{name}", *arguments], check=True)


if __name__ == "__main__":
    main()
