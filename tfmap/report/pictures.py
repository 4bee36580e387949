"""Pictures of a data set -> small JPEG data URIs: samples before and after augmentation, and thumbnails of mistakes."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from tfmap import preview, sheets
from tfmap.datasets.records import read_bytes
from tfmap.source import Split

SAMPLES = 8
SIDE = 160  # pixels; sharp at the 110 CSS pixels a thumbnail takes, about 5 KB each


def samples(
    split: Split,
    *,
    classes: Sequence[str],
    shape: tuple[int, int, int],
    config: Mapping[str, Any],
    count: int = SAMPLES,
) -> list[dict[str, str]]:
    """The first pictures of the first epoch, as the pipeline gives them and as the network sees them.

    Args:
        split: the training split.
        classes: K class names.
        shape: (height, width, channels) of the model's input.
        config: the sections of a config; reads task, seed, pipeline and augment.
        count: how many at most.

    Returns:
        list: dicts of "before" and "after" (data URIs), "label" and "mixed" (the label before and after, as text).
    """
    import tensorflow as tf

    from tfmap import augment, tasks
    from tfmap.pipeline import batches, clear_errors

    settings = {
        **config["pipeline"],
        "size": shape[:2],
        "channels": shape[2],
        "prepare": tasks.get(config["task"]).prepare,
        "batch_size": min(count, len(split)),
        "cache": "none",
        "service": None,
    }
    with clear_errors():
        before = next(iter(batches(split, training=True, seed=config["seed"], **settings)))
    policy = augment.build(config["augment"].get("ops", ""), classes=len(classes))
    after = policy(before, tf.constant([config["seed"], 0], tf.int32))
    shown = [_drawn({key: np.asarray(value) for key, value in batch.items()}, classes) for batch in (before, after)]
    return [
        {"before": one, "after": two, "label": was, "mixed": became}
        for (one, was), (two, became) in zip(*shown, strict=True)
    ]


def _drawn(batch: Mapping[str, np.ndarray], classes: Sequence[str]) -> list[tuple[str, str]]:
    """Each picture of a batch, with what is known of it, and its line of text."""
    rows = [preview.picture(batch, row, classes) for row in range(len(batch["image"]))]
    return [(_encode(sheets.draw(one, classes, SIDE)), one.text) for one in rows]


def thumbnails(splits: Iterable[Split], ids: Iterable[str]) -> dict[str, str]:
    """Small pictures by id; an id that no split holds, or whose file is gone, is left out.

    Args:
        splits: where to look.
        ids: source paths or names.

    Returns:
        dict: id -> data URI.
    """
    wanted, found = set(ids), {}
    for split in splits:
        for index, name in enumerate(split.ids):
            if name in wanted and name not in found:
                picture = _thumbnail(split, index)
                found.update({name: picture} if picture else {})
    return found


def _thumbnail(split: Split, index: int) -> str | None:
    value = split.images[index]
    if split.kind == "pixels":
        return jpeg(value)
    try:
        encoded = read_bytes(split.shards, value) if split.kind == "record" else value
        with Image.open(value if split.kind == "path" else io.BytesIO(encoded)) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            return _encode(ImageOps.exif_transpose(image))
    except OSError:
        return None


def embedded(path: Path, quality: int = 85) -> str:
    """A picture file at its own size as a JPEG data URI."""
    with Image.open(path) as image:
        return _as_uri(image.convert("RGB"), quality)


def jpeg(pixels: np.ndarray) -> str:
    """Pixels (H, W, C) in 0..255, C 1 or 3, as a JPEG data URI of at most 160 x 160."""
    values = np.clip(np.round(np.asarray(pixels, np.float32)), 0, 255).astype(np.uint8)
    return _encode(Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values))


def _encode(image: Image.Image) -> str:
    image = image.convert("RGB")
    image.thumbnail((SIDE, SIDE))
    return _as_uri(image, 80)


def _as_uri(image: Image.Image, quality: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
