"""What channel pruning costs and gives: a model of the embedded sample, whole and with half its multiply-adds.

    python -m benchmarks.channels FOLDER [--macs 0.5] [--scores taylor l1 batchnorm] [--epochs 12] [--models CACHE]
        [--then "distill(epochs=24)"] [--network mobilenet_v2_100] [--weights FILE] [--size 128]

The network is the demo's unless another is named; it is trained as there. FOLDER holds TrashNet's six class folders:
those of its pictures that are not in the sample judge too. Latency is that of a file at one thread, all files in turns,
as a ratio to the whole model's file of the same format.
"""

from __future__ import annotations

import argparse
import tempfile

import keras

import tfmap
from benchmarks import results, waste
from tfmap import compress, export, models
from tfmap.litert import LiteModel, latency_ms
from tfmap.source import Source

FORMATS = ("float32", "int8")


def main() -> None:
    """The whole model, then one row for each score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--macs", type=float, default=0.5)
    parser.add_argument("--scores", nargs="+", default=["taylor", "l1", "batchnorm"])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--then", default="", help="steps of a recipe behind the pruning")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", default=tempfile.mkdtemp(prefix="tfmap-models-"))
    parser.add_argument("--network", default=waste.CONFIG["model"]["backbone"])
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--size", type=int, default=waste.SHAPE[0])
    arguments = parser.parse_args()
    source, shape = tfmap.load("sample:trash", seed=arguments.seed), (arguments.size, arguments.size, 3)
    network = {"backbone": arguments.network, "weights": arguments.weights, "input_shape": shape}
    whole = waste.trained(source, arguments.seed, arguments.models, **network)
    variants = {"whole": whole}
    for score in arguments.scores:
        recipe = f"channels({arguments.macs}, '{score}', epochs={arguments.epochs})"
        recipe += f"|{arguments.then}" if arguments.then else ""
        variants[recipe] = compress.compress(whole, source, recipe=recipe, **waste.settings(arguments.seed))
    title = (
        f"Channel pruning of {arguments.network} at {arguments.size} px on sample:trash: percent right, ratios to whole"
    )
    results.write("channels", title, _rows(variants, source, waste.judges(source, arguments.folder, shape)))


def _rows(variants: dict[str, keras.Model], source: Source, pictures: waste.Judges) -> list[dict]:
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
            file = LiteModel(files[format][name], threads=2)
            scores = {judge: file.predict(images) for judge, (images, _) in pictures.items()}
            row |= {f"{format}: {judge}": right for judge, right in waste.percent(scores, pictures).items()}
            row[f"{format}: bytes"] = len(files[format][name])
            row[f"{format}: ms"] = times[format][name]["median"]
            row[f"{format}: latency"] = times[format][name]["median"] / times[format][whole]["median"]
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
