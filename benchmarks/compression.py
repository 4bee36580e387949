"""What rounding, pruning and sharing weights cost: the demo's recipe with several seeds, and unseen pictures too.

    python -m benchmarks.compression FOLDER [--seeds 3] [--models CACHE] [--only "int8" "prune*"]
        [--network mobilenet_v2_100 --weights FILE --size 128 --recipes "prune(0.5)|cluster(16)|qat"]

FOLDER holds the six class folders of TrashNet (2,527 pictures), of which sample:trash has 1,137; the others, which no
training sees, are scored beside the validation pictures: 227 are too few to tell half a point. Trained models and what
was measured are kept in CACHE and taken from there, so a cut run goes on. The network is the demo's unless another is
named; then the recipes are to be named too, as the demo's know its layers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfmap
from benchmarks import results, waste
from tfmap import compress, export, flatbuffer
from tfmap.export import metadata
from tfmap.litert import LiteModel
from tfmap.source import Source

DEMO = waste.CONFIG["model"]["backbone"]
PRUNE, QAT = waste.CONFIG["compress"]["recipe"], "qat(epochs=3)"
SPARSER = "prune({'*': 0.45, 'conv_pw_12': 0.7, 'conv_pw_13': 0.88}, epochs=12)"  # six tenths of the weights
SHARED = "cluster(16, epochs=4)"
RECIPES = (
    f"{PRUNE}|{QAT}",
    f"{SHARED}|{QAT}",
    f"{PRUNE}|{SHARED}|{QAT}",
    f"{SPARSER}|cluster(16, epochs=6)|qat(epochs=4)",
)
Predict = Callable[[np.ndarray], np.ndarray]
Made = tuple[Predict, dict[str, float]]


def main() -> None:
    """Every variant for every seed; after each seed, the means over the seeds so far."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", default=tempfile.mkdtemp(prefix="tfmap-models-"))
    parser.add_argument("--only", nargs="+", default=["*"], help="patterns of variants, such as 'QAT int8'")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--network", default=DEMO)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--size", type=int, default=waste.SHAPE[0])
    arguments = parser.parse_args()
    shape = (arguments.size, arguments.size, 3)
    network = {"backbone": arguments.network, "weights": arguments.weights, "input_shape": shape}
    name = "compression" if arguments.network == DEMO else f"compression_{arguments.network}"
    kept = Path(arguments.models, f"{name}.json")
    rows = json.loads(kept.read_text()) if kept.exists() else []
    for seed in range(arguments.seeds):
        source = tfmap.load("sample:trash", seed=seed)
        pictures = waste.judges(source, arguments.folder, shape)
        model = waste.trained(source, seed, arguments.models, **network)
        scores = _scores(waste.of_keras(model), pictures)
        known = {row["variant"] for row in rows if row["seed"] == seed}
        for variant, make in _variants(model, source, seed, arguments.recipes).items():
            if variant in known or not any(fnmatchcase(variant, pattern) for pattern in arguments.only):
                continue
            predict, sizes = make()
            found = _row(_scores(predict, pictures), scores, pictures)
            rows.append({"seed": seed, "variant": variant, **sizes, **found})
            print(rows[-1], flush=True)
            kept.write_text(json.dumps(rows))
        title = f"{arguments.network} at {arguments.size} px: percent right, points lost to the float model of its seed"
        results.write(name, title, [*rows, *_means(rows)])


def _scores(predict: Predict, pictures: waste.Judges) -> dict[str, np.ndarray]:
    return {name: predict(images) for name, (images, _) in pictures.items()}


def _variants(model: keras.Model, source: Source, seed: int, recipes: Sequence[str]) -> dict[str, Callable[[], Made]]:
    """Name -> what makes it: its function from pictures to scores, and what its file is, if it is one."""
    how = {"split": source.split("train"), "classes": source.classes, "seed": seed}
    first = recipes[0].split("|")[0]

    def labelled(quantized: Any) -> bytes:
        """As export has it: equal vectors once, labels inside."""
        return metadata.attach(quantized.to_tflite(), metadata.Metadata(labels=source.classes))

    @cache
    def small(recipe: str) -> Any:
        return compress.compress(model, source, recipe=recipe, **waste.settings(seed))

    return {
        "float": lambda: _in_keras(model),
        "int8, no bias correction": lambda: _file(export.tflite(model, bias_correction=False, **how)),
        "int8": lambda: _file(export.tflite(model, **how)),
        "QAT int8": lambda: _file(labelled(small(QAT))),
        "QAT, its Keras model": lambda: _in_keras(small(QAT).model),
        "pruned": lambda: _in_keras(small(first)),
        "pruned int8": lambda: _file(export.tflite(small(first), **how)),
        **{recipe: partial(lambda recipe: _file(labelled(small(recipe))), recipe) for recipe in recipes},
    }


def _in_keras(model: keras.Model) -> Made:
    return waste.of_keras(model), {"gzip": 0, "zeros": 0.0}


def _file(data: bytes) -> Made:
    sizes = {"gzip": len(gzip.compress(data, mtime=0)), "zeros": flatbuffer.read(data).sparsity()}
    return LiteModel(data, threads=2).predict, sizes


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
