"""Rounding afterwards: heads trained on the features of pretrained networks, as a float32 file and as an int8 one.

    python -m benchmarks.pretrained_int8 FOLDER [--epochs 6] [--weights NAME=FILE ...]

FOLDER holds TrashNet's class folders, of which 30% judge. The networks stay as ImageNet left them, or as FILE has them;
only the head learns, so that a difference is that of rounding. Both files are timed in turns at one thread.
"""

from __future__ import annotations

import argparse

import numpy as np

import tfmap
from benchmarks import results
from tfmap import export, runtime
from tfmap.export import representative
from tfmap.litert import LiteModel, latency_ms
from tfmap.source import Source

NETWORKS = ("mobilenet_v2_100", "efficientnet_lite0")
SHAPE = (224, 224, 3)


def main() -> None:
    """A row for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--weights", nargs="*", default=[])
    arguments = parser.parse_args()
    weights = dict(pair.split("=", 1) for pair in arguments.weights)
    source, rows = tfmap.load(arguments.folder, val_fraction=0.3), []
    for name in NETWORKS:
        rows.append(_row(name, source, weights.get(name, "imagenet"), arguments.epochs))
        print(rows[-1], flush=True)
    results.write("pretrained_int8", "A head on the features of pretrained networks, TrashNet, float32 and int8", rows)


def _row(name: str, source: Source, weights: str, epochs: int) -> dict:
    runtime.seed_everything(0)
    model = tfmap.build_classifier(name, classes=len(source.classes), input_shape=SHAPE, weights=weights)
    tfmap.fit(model, source, epochs=epochs, unfreeze=False, batchnorm="frozen", keep="last", learning_rate=3e-3)
    val = source.split("val")
    images, ids = representative.pictures(val, shape=SHAPE)
    labels = dict(zip(val.ids, val.labels, strict=True))
    files = {
        format: export.tflite(model, split=source.split("train"), classes=source.classes, format=format)
        for format in ("float32", "int8")
    }
    scores = {format: LiteModel(file, threads=2).predict(images).argmax(1) for format, file in files.items()}
    truth = np.array([labels[id] for id in ids])
    right = {format: 100 * float(np.mean(found == truth)) for format, found in scores.items()}
    times = latency_ms({format: LiteModel(file) for format, file in files.items()}, seconds=30)
    return {
        "network": name,
        "pictures": len(truth),
        **{f"{format} right": value for format, value in right.items()},
        "lost": right["float32"] - right["int8"],
        "agree": 100 * float(np.mean(scores["float32"] == scores["int8"])),
        **{f"{format} bytes": len(file) for format, file in files.items()},
        **{f"{format} ms": found["median"] for format, found in times.items()},
        "latency": times["int8"]["median"] / times["float32"]["median"],
    }


if __name__ == "__main__":
    main()
