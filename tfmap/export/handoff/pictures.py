"""Golden vectors for those who read no .npz: PNG files and one JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def write(folder: Path, vectors: Mapping[str, np.ndarray], told: Mapping[str, Any]) -> None:
    """Write 00.png, 01.png, ... and golden.json, of masks also 00_mask.png: the number of each pixel's class.

    Args:
        folder: made here.
        vectors: what `golden.vectors` gave.
        told: what `facts.of` gave.
    """
    folder.mkdir()
    rows = []
    for i, image in enumerate(vectors["images"]):
        name = f"{i:02}.png"
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(folder / name)
        said = _SAID[told["target"]]({key: values[i] for key, values in vectors.items()}, folder, i)
        rows.append({"image": name, "source": str(vectors["ids"][i]), **said})
    whole = {
        "model": {"file": "model.tflite", "sha256": told["sha256"]},
        "input": told["input"],
        "output": told["output"],
        "labels": list(told["about"].labels),
        "vectors": rows,
    }
    if told["target"] == "boxes":
        whole["output"] = told["outputs"]
    (folder / "golden.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _label(one: Mapping[str, np.ndarray], folder: Path, number: int) -> dict[str, Any]:
    return {"label": str(one["labels"]), "outputs": _plain(one["outputs"]), "scores": _plain(one["scores"])}


def _boxes(one: Mapping[str, np.ndarray], folder: Path, number: int) -> dict[str, Any]:
    outputs = {key.removeprefix("outputs_"): values for key, values in one.items() if key.startswith("outputs_")}
    return {"outputs": {name: _plain(values) for name, values in outputs.items()}}


def _mask(one: Mapping[str, np.ndarray], folder: Path, number: int) -> dict[str, Any]:
    name = f"{number:02}_mask.png"
    said = one["outputs"]
    mask = said if said.ndim == 2 else np.argmax(said, axis=-1)  # classes, or a score for each
    Image.fromarray(mask.astype(np.uint8)).save(folder / name)
    return {"mask": name}


_SAID: dict[str, Callable[[Mapping[str, np.ndarray], Path, int], dict[str, Any]]] = {
    "label": _label,
    "boxes": _boxes,
    "mask": _mask,
}


def _plain(values: np.ndarray) -> Any:
    """Numbers of JSON: of a float32 the shortest decimal that is it."""
    values = np.asarray(values)
    if values.ndim:
        return [_plain(one) for one in values]
    return int(values) if np.issubdtype(values.dtype, np.integer) else float(str(np.float32(values)))
