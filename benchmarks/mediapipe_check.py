"""Does MediaPipe Tasks, the library that apps use, read our files and give our scores?

    mp/bin/python benchmarks/mediapipe_check.py scores RUN/golden.npz RUN/model.tflite ... > scores.json
    python -m benchmarks.mediapipe_check compare RUN/golden.npz scores.json

Two steps, because mediapipe 1.2.2 and tensorflow-model-optimization 0.8.1 want different versions of absl-py and cannot
live in one environment (`python -m venv mp && mp/bin/pip install mediapipe==1.2.2`). The pictures are those of a run's
golden.npz, already of the model's size, so that the file, its metadata and its runtime are all that is compared.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def mediapipe_scores(pictures: np.ndarray, file: str) -> list[dict[str, float]]:
    """For each picture, label -> score, as an app gets them."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=file))
    with vision.ImageClassifier.create_from_options(options) as classifier:
        images = [mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture) for picture in pictures]
        found = [classifier.classify(image).classifications[0].categories for image in images]
    return [{category.category_name: float(category.score) for category in row} for row in found]


def compare(pictures: np.ndarray, file: str, theirs: list[dict[str, float]]) -> list[dict]:
    """A row per picture: both top answers side by side, and how far all the scores are apart."""
    from tfmap.export import metadata
    from tfmap.litert import LiteModel

    labels, ours = metadata.read(file).labels, LiteModel(file).predict(pictures)
    rows = np.array([[row[label] for label in labels] for row in theirs])
    return [
        {"file": Path(file).name, "MediaPipe": _top(a, labels), "ours": _top(b, labels), "difference": float(gap)}
        for a, b, gap in zip(rows, ours, np.abs(rows - ours).max(axis=1), strict=True)
    ]


def _top(scores: np.ndarray, labels: Sequence[str]) -> str:
    return f"{labels[int(scores.argmax())]} {scores.max():.6f}"


def main(step: str, golden: str, *rest: str) -> None:
    """Run one of the two steps."""
    with np.load(golden) as vectors:
        pictures = vectors["images"]
    if step == "scores":
        json.dump({file: mediapipe_scores(pictures, file) for file in rest}, sys.stdout, indent=1)
        return
    from benchmarks import results

    theirs = json.loads(Path(rest[0]).read_text(encoding="utf-8"))
    rows = [row for file, scores in theirs.items() for row in compare(pictures, file, scores)]
    results.write("mediapipe_check", "MediaPipe Tasks 1.2.2 ImageClassifier and tfmap.litert on one file", rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
