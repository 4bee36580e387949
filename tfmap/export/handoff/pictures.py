"""Golden vectors for those who read no .npz: PNG files and one JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def write(folder: Path, vectors: Mapping[str, np.ndarray], told: Mapping[str, Any]) -> None:
    """Write 00.png, 01.png, ... and golden.json.

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
        rows.append(
            {
                "image": name,
                "source": str(vectors["ids"][i]),
                "label": str(vectors["labels"][i]),
                "outputs": _plain(vectors["outputs"][i]),
                "scores": _plain(vectors["scores"][i]),
            }
        )
    whole = {
        "model": {"file": "model.tflite", "sha256": told["sha256"]},
        "input": told["input"],
        "output": told["output"],
        "labels": list(told["about"].labels),
        "vectors": rows,
    }
    (folder / "golden.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _plain(row: np.ndarray) -> list[int | float]:
    """Numbers of JSON: of a float32 the shortest decimal that is it."""
    if np.issubdtype(row.dtype, np.integer):
        return row.tolist()
    return [float(str(value)) for value in row.astype(np.float32)]
