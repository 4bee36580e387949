"""Make one shard: the TFRecord file and its index, each written whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfmap.datasets.records import sha256
from tfmap.prepare import index, plan, record, tfrecord
from tfmap.prepare.plan import Shard
from tfmap.runs import replacing


def make(shard: Shard, out: Path) -> dict[str, Any]:
    """Make a shard, unless it is there already and was made from the same.

    Returns:
        as `made`.
    """
    key = plan.key(shard)
    if not _is_there(shard, out, key):
        _write(shard, out, key)
    return made(out, shard.name)


def made(out: Path, name: str) -> dict[str, Any]:
    """What is known of a shard that was made.

    Returns:
        dict: "shard", its line in the manifest; "skipped", [id, reason] of pictures that were left out; "counts",
        pictures per class.
    """
    path = out / f"{name}.npz"
    about = index.read_about(path)
    about["shard"]["index_sha256"] = sha256(path)
    return about


def _is_there(shard: Shard, out: Path, key: str) -> bool:
    path, about = out / f"{shard.name}.tfrecord", index.read_about(out / f"{shard.name}.npz")
    # What could not be read before may be there again.
    if about is None or about["shard"]["plan"] != key or about["skipped"] or not path.is_file():
        return False
    same = path.stat().st_size == about["shard"]["bytes"] and sha256(path) == about["shard"]["sha256"]
    return same and _same_masks(shard, out)


def _same_masks(shard: Shard, out: Path) -> bool:
    if shard.split.masks is None:
        return True
    try:
        masks = (shard.split.masks.read(row) for row in range(len(shard)))
        return [plan.content_digest(mask) for mask in masks] == index.read_mask_digests(out / f"{shard.name}.npz")
    except (OSError, ValueError):
        return False


def _write(shard: Shard, out: Path, key: str) -> None:
    rows, skipped, hashed, size = [], [], hashlib.sha256(), 0
    with replacing(out / f"{shard.name}.tfrecord") as temporary, open(temporary, "wb") as file:
        for built in _records(shard, skipped):
            rows.append(built.placed(size + tfrecord.HEADER))
            framed = tfrecord.frame(built.data)
            hashed.update(framed)
            size += file.write(framed)
    counts = np.bincount([label for row in rows for label in row.labels], minlength=shard.classes)
    line = {"name": shard.name, "records": len(rows), "bytes": size, "sha256": hashed.hexdigest(), "plan": key}
    about = {"shard": line, "skipped": skipped, "counts": counts.tolist()}
    # After the shard: where an index is, its shard was whole.
    index.write(out / f"{shard.name}.npz", rows, about, shard.split)


def _records(shard: Shard, skipped: list[list[str]]) -> Iterator[record.Record]:
    """The records, in order; what cannot be read any more goes to `skipped`."""
    for number in range(len(shard)):
        try:
            yield record.build(shard, number)
        except Exception as error:  # Pillow's plugins raise whatever their parsers stumble over
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            skipped.append([shard.split.ids[number], reason])
