"""Files that others made: does our reader take them, do they run, and alike with and without XNNPACK?

    python -m benchmarks.reference_files FOLDER

FOLDER holds .tflite files; one of them, model_invoking_error.tflite, must be refused.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from benchmarks import results
from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.litert import LiteModel
from tfmap.verify import integers, runtimes


def row(path: Path) -> dict:
    """What becomes of one file."""
    about = {"file": path.name, "bytes": path.stat().st_size, "format": "", "ops": 0, "findings": "", "difference": ""}
    try:
        graph = flatbuffer.read(path)
        about |= {"format": graph.format, "ops": len(graph.ops), "findings": " ".join(integers.findings(graph))}
        pictures = _pictures(LiteModel(path).input_shape)
        found = runtimes.compare(path.read_bytes(), pictures, format=graph.format)
        return about | {"difference": max(way["difference"] for way in found["ways"]), "verdict": "runs"}
    except InputError as error:
        return about | {"verdict": str(error).removeprefix(f"{path.parent}/")}


def _pictures(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, *shape[1:]), dtype=np.uint8)


def main(folder: str) -> None:
    """Print and write the table."""
    rows = [row(path) for path in sorted(Path(folder).glob("*.tflite"))]
    results.write("reference_files", "Files that others made, in our reader and in LiteRT", rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
