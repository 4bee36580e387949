"""What channel pruning costs and gives: the demo's model on the embedded sample, whole and with half its multiply-adds.

    python -m benchmarks.channels [MODEL.keras] [--macs 0.5] [--scores taylor l1 batchnorm] [--epochs 12] [--seed 0]

MODEL.keras is a classifier of the six kinds of waste, such as `python -m tfmap.demo` leaves in its run folder; without
one, the demo's training runs first. Latency is that of a file at one thread, all files in turns, as a ratio to the
whole model's file of the same format.
"""

from __future__ import annotations

import argparse
from typing import Any

import keras
import numpy as np

import tfmap
from benchmarks import results
from tfmap import compress, config, demo, export, models
from tfmap.export import representative
from tfmap.litert import LiteModel, latency_ms
from tfmap.source import Source

CONFIG = config.parse(demo.CONFIG, "demo")
FORMATS = ("float32", "int8")


def main() -> None:
    """The whole model, then one row for each score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--macs", type=float, default=0.5)
    parser.add_argument("--scores", nargs="+", default=["taylor", "l1", "batchnorm"])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    source = tfmap.load("sample:trash", seed=arguments.seed)
    whole = keras.saving.load_model(arguments.model, compile=False) if arguments.model else _trained(source, arguments)
    variants = {"whole": whole}
    for score in arguments.scores:
        recipe = f"channels({arguments.macs}, '{score}', epochs={arguments.epochs})"
        variants[recipe] = compress.compress(whole, source, recipe=recipe, **_settings(arguments.seed))
    title = "Channel pruning of the demo's model on sample:trash: percent right, ratios to the whole model"
    results.write("channels", title, _rows(variants, source))


def _settings(seed: int) -> dict[str, Any]:
    return {"augment": CONFIG["augment"]["ops"], "pipeline": CONFIG["pipeline"], "seed": seed, "verbose": False}


def _trained(source: Source, arguments: argparse.Namespace) -> keras.Model:
    keras.utils.set_random_seed(arguments.seed)
    model = tfmap.build_classifier(**CONFIG["model"], classes=len(source.classes))
    return tfmap.fit(model, source, **_settings(arguments.seed), **CONFIG["train"])


def _rows(variants: dict[str, keras.Model], source: Source) -> list[dict]:
    files = {
        format: {
            name: export.tflite(model, split=source.split("train"), classes=source.classes, format=format)
            for name, model in variants.items()
        }
        for format in FORMATS
    }
    times = {
        format: latency_ms({name: LiteModel(file) for name, file in made.items()}, seconds=20)
        for format, made in files.items()
    }
    whole = next(iter(variants))
    rows = []
    for name, model in variants.items():
        row = {"variant": name, "weights": model.count_params()}
        row["multiply-adds"] = models.multiply_adds(model) / models.multiply_adds(variants[whole])
        for format in FORMATS:
            row[f"{format}: right"] = _right(LiteModel(files[format][name], threads=2), source)
            row[f"{format}: bytes"] = len(files[format][name])
            row[f"{format}: ms"] = times[format][name]["median"]
            row[f"{format}: latency"] = times[format][name]["median"] / times[format][whole]["median"]
        rows.append(row)
    return rows


def _right(file: LiteModel, source: Source) -> float:
    split = source.split("val")
    images, ids = representative.pictures(split, shape=file.input_shape[1:])
    labels = dict(zip(split.ids, split.labels, strict=True))
    return float(100 * np.mean(file.predict(images).argmax(1) == [labels[name] for name in ids]))


if __name__ == "__main__":
    main()
