"""CIFAR-10 within MLPerf Tiny's budgets: our files beside its reference ones, all 10,000 test pictures, one run.

    python -m benchmarks.cifar10 FILE.npz FOLDER

FOLDER holds MLPerf Tiny's pretrainedResnet_quant.tflite (98,496 bytes) and its pretrainedResnet_large_int8.tflite
(512,024). Ours are those in benchmarks/results/cifar10, trained by benchmarks.cifar10_train. Latency is that of one
picture at one thread, all files in turns. tests/test_cifar10.py judges ours again by the first 400 pictures.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np

from benchmarks import results
from tfmap import flatbuffer
from tfmap.litert import LiteModel, latency_ms

OURS = Path(__file__).parent / "results" / "cifar10"
ANCHORS = ("pretrainedResnet_quant.tflite", "pretrainedResnet_large_int8.tflite")


def main(file: str, folder: str) -> None:
    """A row for each file."""
    paths = [*(Path(folder) / name for name in ANCHORS), *sorted(OURS.glob("*.tflite"))]
    data = np.load(file)
    models = {path.name: LiteModel(path) for path in paths}
    times = latency_ms(models, seconds=5 * len(models))
    rows = [{**_row(path, data), "ms": times[path.name]["median"], "p90": times[path.name]["p90"]} for path in paths]
    for row in rows:
        row["latency, first = 1"] = row["ms"] / rows[0]["ms"]
    results.write("cifar10", "CIFAR-10, int8 files, the 10,000 test pictures", rows)


def _row(path: Path, data: dict[str, np.ndarray]) -> dict:
    content = path.read_bytes()
    hits = LiteModel(path, threads=2).predict(data["x_test"]).argmax(1) == data["y_test"].ravel()
    return {
        "file": path.name,
        "bytes": len(content),
        "gzip": len(gzip.compress(content, mtime=0)),
        "right": 100 * float(np.mean(hits)),
        "right of the first 400": int(hits[:400].sum()),
        "float tensors": len(flatbuffer.read(content).float_tensors()),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
