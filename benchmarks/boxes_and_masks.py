"""From real pictures to int8 files of boxes and of masks, and MediaPipe's answers to them.

    python -m benchmarks.boxes_and_masks cells FOLDER --weights FILE [--run RUN]     BCCD, splits as given
    python -m benchmarks.boxes_and_masks membrane FOLDER [--run RUN]                 24 and 6 pictures
    python -m benchmarks.boxes_and_masks nuclei sample:nuclei [--run RUN]            the recipe of the demo

With --then "qat(epochs=3)" the run is compressed by that recipe afterwards, and the new file stands in the table, too.
FOLDER is the data set, of membranes what benchmarks.make_membrane writes; FILE the backbone's weights. RUN keeps the
training: with a model.keras in it nothing is trained again. MediaPipe is asked where the package is installed
(docs/verification.md says how).
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results

RECIPES: dict[str, dict[str, Any]] = {
    "cells": {
        "task": "detection",
        "pipeline": {"batch_size": 8},
        "augment": {"ops": "flip|vflip|zoom(.3)|color(.2)|mosaic(.5)"},
        "model": {"backbone": "mobilenet_v2_100", "input_shape": [320, 320, 3]},
        "train": {
            "epochs": 50,
            "unmixed_epochs": 10,
            "learning_rate": 2.5e-3,
            "layer_decay": 0.9,
            "ema": 0.995,
            "weight_decay": 0.05,
            "clip_norm": 10.0,
            "keep": "last",
        },
        "verify": {"budget": 1.5},
    },
    "membrane": {
        "task": "segmentation",
        "pipeline": {"batch_size": 2},
        "augment": {"ops": "flip|vflip|turn90|zoom(.3)|rotate(20)|elastic(.3,6)|brightness(.3)|contrast(.3)"},
        "model": {"arch": "unet", "backbone": "mobilenet_v1_025", "input_shape": [512, 512, 3], "width": 48},
        "train": {"epochs": 100, "learning_rate": 4e-3, "loss": "dice", "ema": 0.99, "keep": "last"},
        "verify": {"budget": 1.0},
    },
}


def recipe(what: str) -> dict[str, Any]:
    """A recipe by its name; that of nuclei is the demo's."""
    from tfmap import config as configs
    from tfmap import demo

    return RECIPES[what] if what in RECIPES else configs.parse(demo.NUCLEI, "demo")


def publish(run: Any, config: dict[str, Any]) -> None:
    """A file, and what verify says of it."""
    from tfmap import export, verify
    from tfmap.errors import OverBudget

    export.command(config, run)
    with suppress(OverBudget):  # the table says so
        verify.command(config, run)


def run_all(config: Mapping[str, Any], folder: Path) -> tuple[Any, float]:
    """Train where there is no model yet, evaluate, export and verify; the run, and the seconds that its epochs took."""
    from tfmap import config as configs
    from tfmap import evaluate, train
    from tfmap.runs import Run

    run, checked = Run(folder), configs.check(dict(config), "benchmark")
    if not run.has("model.keras"):
        train.command(checked, run)
    evaluate.command(checked, run)
    publish(run, {**checked, "export": {**checked["export"], "which": "model"}})  # not what --then left there once
    with run.file("history.csv").open() as file:
        return run, sum(float(row["seconds"]) for row in csv.DictReader(file))


def compressed(run: Any, config: Mapping[str, Any], steps: str) -> list[dict[str, Any]]:
    """The rows of the file that a recipe of compress makes of the run."""
    from tfmap import compress
    from tfmap import config as configs

    checked = configs.check({**config, "compress": {"recipe": steps}}, "benchmark")
    compress.command(checked, run)
    publish(run, checked)
    return [{**row, "model": steps} for row in rows(run, config) if row["model"] != "Keras"]


def rows(run: Any, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Keras and int8 file side by side, on each split that was not learnt from."""
    import tfmap
    from tfmap import evaluate

    source = tfmap.load(**{"seed": 0, **config["datasets"]})
    about = {"classes": source.classes, "task": config["task"]}
    file = (run.candidate() if run.candidate().has("model.tflite") else run).file("model.tflite")
    found = []
    for name in (name for name in ("val", "test") if len(source.splits.get(name, ()))):
        keras = run.read_json("metrics.json")["splits"][name]
        small = evaluate.evaluate(file, source.split(name), **about)["metrics"]
        pairs = ("Keras", keras), (config.get("export", {}).get("format", "int8"), small)
        found += [{"split": name, "model": model, **_told(one)} for model, one in pairs]
        found[-1]["bytes"] = file.stat().st_size
        found[-1] |= clients(file.read_bytes(), source.split(name), about)
    return found


def _told(metrics: Mapping[str, Any]) -> dict[str, Any]:
    names = ("mAP", "mAP50", "box_mAP", "box_mAP50", "mIoU", "pixel_accuracy", "boundary_f1")
    classes = {
        f"{key} {row['class']}": row[key] for row in metrics["per_class"] for key in ("mAP50", "F1") if key in row
    }
    return {name: metrics[name] for name in names if name in metrics} | classes


def clients(data: bytes, split: Any, about: Mapping[str, Any]) -> dict[str, Any]:
    """How far MediaPipe's answers to every picture of a split are from ours; nothing where it is not installed."""
    from tfmap.export import representative
    from tfmap.litert import LiteModel
    from tfmap.verify import clients as apps

    try:
        apps.mediapipe_tasks.load()
    except ImportError:
        return {}
    if about["task"] == "instances":  # it has no such task
        return {}
    shape = LiteModel(data).input_shape[1:]
    pictures = np.concatenate(
        [
            representative.pictures(split.take(np.array([i])), shape=shape, task=about["task"])[0]
            for i in range(len(split))
        ]
    )
    found = apps.check(data, pictures, about["classes"], about["task"])
    told = {"MediaPipe": "; ".join(found["findings"]) or "the same", "apart": found["difference"]}
    return told | ({"least IoU": found["overlap"]} if "overlap" in found else {})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=(*RECIPES, "nuclei"))
    parser.add_argument("folder")
    parser.add_argument("--weights")
    parser.add_argument("--run")
    parser.add_argument("--then", help="a recipe of compress")
    return parser.parse_args()


def main() -> None:
    """Train, measure, write results/boxes_and_masks_<what>.json."""
    given = _arguments()
    config = recipe(given.what)
    config = {**config, "datasets": {**config.get("datasets", {}), "source": given.folder}}
    if given.what == "membrane":
        config["datasets"] |= {"val_fraction": 0.2}
    if given.weights:
        config["model"] = {**config["model"], "weights": given.weights}
    with tempfile.TemporaryDirectory() as folder:
        run, seconds = run_all(config, Path(given.run or folder))
        found = rows(run, config)
        verified = run.read_json("verify.json")
        ratio = verified["latency_ms"]["1"]["ratio"]
        found += compressed(run, config, given.then) if given.then else []
        more = {"training_seconds": seconds, "latency_ratio": ratio, "failures": verified["failures"]}
    results.write(f"boxes_and_masks_{given.what}", f"files of {given.what}", found, recipe=recipe(given.what), **more)


if __name__ == "__main__":
    main()
