"""What rounding, pruning and sharing weights cost: the demo's recipe with several seeds, and unseen pictures too.

    python -m benchmarks.compression FOLDER [--seeds 3] [--models CACHE]

FOLDER holds the six class folders of TrashNet (2,527 pictures), of which sample:trash has 1,137; the others, which no
training sees, are scored beside the validation pictures: 227 are too few to tell half a point. Trained models are kept
in CACHE and taken from there.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

import tfmap
from benchmarks import results, waste
from tfmap import compress, export
from tfmap.litert import LiteModel
from tfmap.source import Source

PRUNE, QAT = waste.CONFIG["compress"]["recipe"], "qat(epochs=3)"
SHARED = {clusters: f"cluster({clusters}, epochs=3)" for clusters in (16, 12, 10, 8)}


def main() -> None:
    """Every variant for every seed; after each, the means over the seeds so far."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", default=tempfile.mkdtemp(prefix="tfmap-models-"))
    arguments = parser.parse_args()
    rows = []
    for seed in range(arguments.seeds):
        source = tfmap.load("sample:trash", seed=seed)
        pictures = waste.judges(source, arguments.folder)
        model = waste.trained(source, seed, arguments.models)
        scores = None
        for variant, predict, packed in _variants(model, source, seed):
            found = {name: predict(images) for name, (images, _) in pictures.items()}
            scores = scores or found  # the float model's, which comes first
            rows.append({"seed": seed, "variant": variant, "gzip": packed, **_row(found, scores, pictures)})
            print(rows[-1], flush=True)
        title = "The demo's recipe: percent right, points lost to the float model of the same seed"
        results.write("compression", title, [*rows, *_means(rows)])


def _variants(model: keras.Model, source: Source, seed: int) -> Iterator[tuple[str, Any, int]]:
    """Name, function from pictures to scores, and bytes of the packed file (0 for a Keras model)."""

    def file(model: Any, **how: Any) -> tuple[Any, int]:
        data = export.tflite(model, split=source.split("train"), classes=source.classes, seed=seed, **how)
        return LiteModel(data, threads=2).predict, len(gzip.compress(data, mtime=0))

    def small(recipe: str) -> Any:
        return compress.compress(model, source, recipe=recipe, **waste.settings(seed))

    yield "float", waste.of_keras(model), 0
    yield "int8, no bias correction", *file(model, bias_correction=False)
    yield "int8", *file(model)
    quantized = small(QAT)
    yield "QAT int8", *file(quantized.to_tflite())
    yield "QAT, its Keras model", waste.of_keras(quantized.model), 0
    pruned = small(PRUNE)
    yield "pruned", waste.of_keras(pruned), 0
    yield "pruned int8", *file(pruned)
    both = [f"{PRUNE}|{SHARED[clusters]}|{QAT}" for clusters in (12, 10, 8)]
    for recipe in (f"{PRUNE}|{QAT}", f"{SHARED[16]}|{QAT}", *both):
        yield recipe, *file(small(recipe).to_tflite())


def _row(found: dict, reference: dict, pictures: dict) -> dict[str, float]:
    row, lost, count = {}, 0.0, 0
    for name, scores in found.items():
        right, before = (100 * np.mean(x.argmax(1) == pictures[name][1]) for x in (scores, reference[name]))
        row |= {name: right, f"{name}_lost": before - right, f"{name}_pictures": len(scores)}
        row[f"{name}_agreement"] = 100 * np.mean(scores.argmax(1) == reference[name].argmax(1))
        lost, count = lost + len(scores) * (before - right), count + len(scores)
    return {key: float(value) for key, value in {**row, "lost": lost / count}.items()}


def _means(rows: list[dict]) -> list[dict]:
    """A row per variant, over the seeds."""
    means = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        same = [row for row in rows if row["variant"] == variant]
        numbers = {key: float(np.mean([row[key] for row in same])) for key in same[0] if key not in ("seed", "variant")}
        means.append({"seed": "mean", "variant": variant, **numbers})
    return means


if __name__ == "__main__":
    main()
