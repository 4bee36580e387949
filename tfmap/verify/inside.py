"""The file from inside, beside the float file of the Keras model that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfmap import flatbuffer
from tfmap.verify import alignment, integers, kernels, layers


def compare(
    data: bytes,
    mirror: bytes,
    pictures: np.ndarray,
    further: Callable[[], np.ndarray] | None = None,
    *,
    keep_float: Sequence[str] = (),
) -> dict[str, Any]:
    """Read the file's graph, and compare its kernels and what its layers say.

    Args:
        data: the file.
        mirror: the float32 file of the model that it was converted from, of the same batch size.
        pictures: uint8 (N, H, W, C), values 0..255.
        further: see `layers.compare`.
        keep_float: see `integers.findings`.

    Returns:
        dict: "kernels" and "layers", as those modules give them, and "findings" of all three.
    """
    theirs, ours = flatbuffer.read(mirror), flatbuffer.read(data)
    pairs = alignment.pairs(theirs, ours)
    found = {
        "kernels": kernels.compare(pairs, theirs, ours),
        "layers": layers.compare(pairs, mirror, data, pictures, further),
    }
    lines = [*_strange(found["kernels"]), *(line for part in found.values() for line in part.pop("findings"))]
    return {**found, "findings": [*integers.findings(ours, keep_float=keep_float), *lines]}


def _strange(kernels: dict[str, Any]) -> list[str]:
    """A line where nothing could be compared. One kernel alone may be that of the pixels, which int8 files add."""
    if kernels["compared"] or kernels["of"] < 2:
        return []
    return [f"none of the file's {kernels['of']} kernels has a counterpart in the model: it is another network's."]
