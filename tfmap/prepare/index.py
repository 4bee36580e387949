"""The index of a shard: a table of what its records hold and where, in arrays that NumPy loads without pickle.

For n records:

    picture       int64 (n, 2)    offset and length of the encoded picture in the shard's file
    sizes         int32 (n, 2)    its height and width
    digests       uint8 (n, 16)   content digests of the pictures as they were in the source
    ids           uint8 (b,)      ids in UTF-8, one after the other; id_starts int64 (n + 1,)
    labels        int32 (m,)      classes, one after the other; label_starts int64 (n + 1,)
    boxes         float32 (m, 4)  with box_classes int32, crowd and difficult bool (m,), box_starts int64 (n + 1,)
    mask          int64 (n, 2)    offset and length of the mask's PNG; mask_digests uint8 (n, 16) of its pixels
    about         uint8 (b,)      JSON: the shard's line in the manifest
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmap.runs import replacing
from tfmap.source import Boxes, Split


@dataclass(frozen=True)
class Row:
    """What the index keeps of one record.

    Attributes:
        id: its name.
        digest: content digest of the picture as it was in the source.
        picture: offset and length in the shard's file.
        size: height and width.
        labels: its classes.
        boxes: its boxes, of one picture, where the data has them.
        mask: offset and length of its mask, where the data has them.
        mask_digest: content digest of the mask as it was in the source.
    """

    id: str
    digest: str
    picture: tuple[int, int]
    size: tuple[int, int]
    labels: Sequence[int]
    boxes: Boxes | None = None
    mask: tuple[int, int] | None = None
    mask_digest: str = ""


def write(path: Path, rows: Sequence[Row], about: dict[str, Any], split: Split) -> None:
    """Write an index atomically; the same rows give the same bytes.

    Args:
        path: of the .npz file.
        rows: n rows.
        about: the shard's line in the manifest.
        split: which tells whether the data has boxes and masks; there may be no row to tell.
    """
    columns = _columns(rows)
    columns |= {} if split.boxes is None else _box_columns(rows)
    columns |= {} if split.masks is None else _mask_columns(rows)
    columns["about"] = _text(json.dumps(about))
    with replacing(path) as temporary:
        np.savez(temporary, **columns)


def read_about(path: Path) -> dict[str, Any] | None:
    """The shard's line in the manifest, or None where there is no index that can be read."""
    try:
        # From memory: of a file that it cannot read, NumPy leaves the handle open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return json.loads(arrays["about"].tobytes())
    except Exception:  # a file cut short by a power cut: zipfile, zlib and NumPy raise each their own
        return None


def read_mask_digests(path: Path) -> list[str]:
    """Content digests of the masks of a shard, 32 hex digits each."""
    with np.load(path, allow_pickle=False) as arrays:
        return [row.tobytes().hex() for row in arrays["mask_digests"]]


def _columns(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    ids = [row.id.encode("utf-8", "surrogateescape") for row in rows]
    return {
        "picture": np.array([row.picture for row in rows], np.int64).reshape(-1, 2),
        "sizes": np.array([row.size for row in rows], np.int32).reshape(-1, 2),
        "digests": _digests([row.digest for row in rows]),
        "ids": np.frombuffer(b"".join(ids), np.uint8),
        "id_starts": _starts([len(name) for name in ids]),
        "labels": np.array([label for row in rows for label in row.labels], np.int32),
        "label_starts": _starts([len(row.labels) for row in rows]),
    }


def _box_columns(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    return {
        "box_starts": _starts([len(row.boxes.boxes) for row in rows]),
        "boxes": np.concatenate([np.zeros((0, 4), np.float32), *(row.boxes.boxes for row in rows)]),
        "box_classes": np.concatenate([np.zeros(0, np.int32), *(row.boxes.classes for row in rows)]),
        "crowd": np.concatenate([np.zeros(0, bool), *(row.boxes.crowd for row in rows)]),
        "difficult": np.concatenate([np.zeros(0, bool), *(row.boxes.difficult for row in rows)]),
    }


def _mask_columns(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    return {
        "mask": np.array([row.mask for row in rows], np.int64).reshape(-1, 2),
        "mask_digests": _digests([row.mask_digest for row in rows]),
    }


def _starts(lengths: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _digests(digests: list[str]) -> np.ndarray:
    return np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, 16)


def _text(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)
