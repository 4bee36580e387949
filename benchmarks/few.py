"""Few pictures, with and without a data set: how long until all of them are there.

python -m benchmarks.few

The embedded samples, in turns; medians. Of more than `tfmap.pipeline.FEW` pictures, `in_order` builds a data set.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

import tfmap
from benchmarks import results
from tfmap import pipeline, tasks
from tfmap.source import Split

SAMPLES = {"sample:trash": "classification", "sample:cells": "detection", "sample:membrane": "segmentation"}
COUNTS, TURNS, SIZE = (1, 16, 64, 256), 7, (224, 224)


def seconds(read: Callable[[], Iterable]) -> float:
    """Until every batch was there."""
    start = time.perf_counter()
    for _ in read():
        pass
    return time.perf_counter() - start


def measured(name: str, task: str, split: Split) -> dict[str, str | int | float]:
    """A row: both ways, in turns."""
    how = {"size": SIZE, "prepare": tasks.get(task).prepare}
    ways = {
        "without": partial(pipeline.in_order, split, **how),
        "data set": partial(pipeline.batches, split, cache="none", **how),
    }
    times = np.array([[seconds(read) for read in ways.values()] for _ in range(TURNS)])
    medians = dict(zip(ways, map(float, np.median(times, axis=0)), strict=True))
    ratio = float(np.median(times[:, 1] / times[:, 0]))
    return {"source": name, "pictures": len(split), **{f"{way} s": each for way, each in medians.items()}, "x": ratio}


def main() -> None:
    """Measure, write results/few.json."""
    rows = []
    for name, task in SAMPLES.items():
        split = tfmap.load(name).split("train")
        counts = [count for count in COUNTS if count <= len(split)]
        rows += [measured(name, task, split.take(np.arange(count))) for count in counts]
    results.write("few", f"Pictures at {SIZE[0]} x {SIZE[1]}, read without a data set and with one", rows)


if __name__ == "__main__":
    main()
