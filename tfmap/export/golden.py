"""Golden test vectors: inputs and the file's own answers, so that an app's team can check its integration bit by bit.

An app that feeds `images` and does not get `outputs` differs in its code; one that agrees here and fails on its own
pictures differs in how it decodes and resizes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfmap.export import representative
from tfmap.litert import LiteModel
from tfmap.runs import replacing
from tfmap.source import Split


def vectors(
    file: bytes, split: Split, *, classes: Sequence[str], task: str = "classification", count: int = 8
) -> dict[str, np.ndarray]:
    """Pictures of a split and what the file answers.

    Args:
        file: a .tflite file.
        split: examples, best ones that training has not seen.
        classes: the K class names.
        task: which task prepares the pictures.
        count: how many, spread over the classes.

    Returns:
        dict: "images" uint8 (N, H, W, C), what goes into the file; "outputs" (N, ...) in the file's own dtype, of
            several "outputs_" and the name of each; "ids" str (N,), where the pictures come from; and of a classifier
            "scores" float32 (N, K), the outputs dequantised, and "labels" str (N,), the class with the highest score.
    """
    model = LiteModel(file)
    chosen = representative.stratified(split.labels, count)
    images, ids = representative.pictures(split.take(chosen), shape=model.input_shape[1:], task=task)
    return answered(model, images, ids, classes=classes)


def answered(model: LiteModel, images: np.ndarray, ids: np.ndarray, *, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Pictures that are at hand, and what the file answers: as `vectors`.

    Args:
        model: the file.
        images: uint8 (N, H, W, C), of the model's own size.
        ids: str (N,).
        classes: the K class names.
    """
    outputs, known = model.raw(images), {"images": images, "ids": ids}
    if isinstance(outputs, dict):
        return {**known, **{f"outputs_{name}": values for name, values in outputs.items()}}
    if outputs.ndim != 2:
        return {**known, "outputs": outputs}
    scores = model.dequantised(outputs)
    return {
        **known,
        "outputs": outputs,
        "scores": scores,
        "labels": np.asarray(classes, dtype=str)[scores.argmax(axis=1)],
    }


def write(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays as .npz, whole or not at all."""
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)
