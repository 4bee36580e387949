"""Remedies for imbalance compared: balanced accuracy of each on a long-tailed part of the embedded sample, three seeds.

`python -m benchmarks.imbalance [EPOCHS] [SEEDS]`. Of the sample's six classes, 160 pictures of the first are kept to
train on, and fewer of each following one, down to 8; the validation pictures stay as they are. Everything else is the
same for all: the embedded ImageNet backbone at 96 px, flip and colour, AdamW.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

import tfmap
from benchmarks import results
from tfmap import runtime
from tfmap.inference import predict
from tfmap.source import Source

SIDE, LARGEST, SMALLEST = 96, 160, 8
REMEDIES = {
    "none": {},
    "class_weights balanced": {"class_weights": "balanced"},
    "class_weights effective_number": {"class_weights": "effective_number"},
    "sampling balanced": {"pipeline": {"sampling": "balanced"}},
    "loss logit_adjustment": {"loss": "logit_adjustment"},
    "loss focal": {"loss": "focal"},
}


def long_tail(seed: int) -> Source:
    """The sample with ever fewer training pictures from class to class; another seed, other ones and another order."""
    source, draw = tfmap.load("sample:trash", val_fraction=0.3, seed=seed), np.random.default_rng(seed)
    train, classes = source.split("train"), len(source.classes)
    sizes = np.geomspace(LARGEST, SMALLEST, classes).round().astype(int)
    kept = [
        draw.permutation(np.flatnonzero(train.labels == label))[:size]
        for label, size in zip(draw.permutation(classes), sizes, strict=True)
    ]
    return Source("long tail", source.classes, {**source.splits, "train": train.take(np.sort(np.concatenate(kept)))})


def measure(source: Source, settings: dict, *, epochs: int, seed: int) -> dict[str, float]:
    """Accuracy and recalls of one training, in percent."""
    runtime.seed_everything(seed)
    model = tfmap.build_classifier("mobilenet_v1_025", classes=len(source.classes), input_shape=(SIDE, SIDE, 3))
    tfmap.fit(
        model, source, epochs=epochs, seed=seed, learning_rate=3e-3, ema=0.95, keep="last", verbose=False,
        augment="flip|color(.3)", **settings,
    )  # fmt: skip
    val = source.split("val")
    right = predict(model, val).argmax(axis=1) == val.labels
    recalls = np.array([right[val.labels == label].mean() for label in range(len(source.classes))])
    rare = np.argsort(np.bincount(source.split("train").labels))[:3]
    found = {"accuracy": right.mean(), "balanced accuracy": recalls.mean(), "rarest three": recalls[rare].mean()}
    return {name: 100 * float(value) for name, value in found.items()}


def main(epochs: str = "20", seeds: str = "3") -> None:
    """Train, print, write."""
    rows = []
    for name, settings in REMEDIES.items():
        found = [measure(long_tail(seed), settings, epochs=int(epochs), seed=seed) for seed in range(int(seeds))]
        means = {key: round(float(np.mean([row[key] for row in found])), 1) for key in found[0]}
        spread = round(float(np.std([row["balanced accuracy"] for row in found])), 1)
        rows.append({"remedy": name, **means, "balanced accuracy, standard deviation": spread})
        sys.stderr.write(f"{rows[-1]}\n")
    results.write("imbalance", f"Long tail of {LARGEST} to {SMALLEST} pictures a class, {seeds} seeds", rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
