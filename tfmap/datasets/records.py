"""What `python -m tfmap.prepare` makes: TFRecord shards, an index beside each, and manifest.json.

    manifest.json                    classes, settings, counts, and for each shard its size and hashes
    train-00000-of-00002.tfrecord    one tf.train.Example a picture
    train-00000-of-00002.npz         where each picture lies in that file, its labels, boxes, id and content digest

The index is why nothing is parsed: a picture is read by one `pread` of its encoded bytes. And no picture is opened to
load the data set, because each was looked at when the shards were made.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tfmap.datasets.listing import Listing, objects
from tfmap.errors import InputError
from tfmap.source import RECORD, Boxes, Masks, Skipped

SCHEMA = 1  # raise it when shards, index or manifest change their form
MANIFEST = "manifest.json"
FORMAT = "tfmap.records"


def matches(folder: Path) -> bool:
    """Whether a folder has a manifest of ours."""
    try:
        return _parse(folder).get("format") == FORMAT
    except (OSError, ValueError):
        return False


def read(folder: Path) -> Listing:
    """List the records of a prepared data set.

    Nothing is read of the shards but their size.

    Raises:
        InputError: no manifest of ours, one of another schema, an unfinished set, or a shard that is not as it was
            written (its size, and the hash of its index; `verify` also reads the pictures).
    """
    manifest = read_manifest(folder)
    try:
        return _listing(folder, manifest)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"datasets: {folder / MANIFEST} is damaged ({error!r}). {_again(folder)}") from error


def verify(folder: Path) -> None:
    """Read every shard and compare it with the hash in the manifest.

    Raises:
        InputError: naming the first shard that is broken.
    """
    for shard in _shards(read_manifest(folder)):
        check_size(folder, shard)
        if sha256(folder / f"{shard['name']}.tfrecord") != shard["sha256"]:
            raise InputError(
                f"datasets: {folder / shard['name']}.tfrecord is damaged: its SHA-256 is not the one in the manifest. "
                f"{_again(folder)}"
            )
        read_index(folder, shard)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished data set of this schema.

    Raises:
        InputError: it is missing, broken, of another schema, or says that the set was not finished.
    """
    try:
        manifest = _parse(folder)
    except (OSError, ValueError) as error:
        raise InputError(f"datasets: {folder / MANIFEST} cannot be read: {error}. {_again(folder)}") from error
    if manifest.get("format") != FORMAT or manifest.get("schema") != SCHEMA:
        found = f"{manifest.get('format')!r} schema {manifest.get('schema')!r}"
        raise InputError(
            f"datasets: {folder / MANIFEST} is of {found}, expected {FORMAT!r} schema {SCHEMA}. {_again(folder)}"
        )
    if not manifest.get("finished"):
        raise InputError(
            f"datasets: {folder} was not finished: its preparation was interrupted. The same command goes on where it "
            f"stopped: python -m tfmap.prepare {manifest.get('source')} {folder} {_settings(manifest)}"
        )
    return manifest


def read_bytes(shards: Sequence[str], place: np.void) -> bytes:
    """The bytes at one place.

    Args:
        shards: paths of the files.
        place: one element of an array of RECORD.

    Raises:
        OSError: the file is gone, or shorter than that.
    """
    file = os.open(shards[place["shard"]], os.O_RDONLY)
    try:
        data = os.pread(file, int(place["length"]), int(place["offset"]))
    finally:
        os.close(file)
    if len(data) < place["length"]:
        raise OSError(f"{shards[place['shard']]} ends before byte {place['offset'] + place['length']}")
    return data


def read_mask(place: np.void, shards: Sequence[str]) -> np.ndarray:
    """The mask at one place, uint8 (h, w)."""
    with Image.open(io.BytesIO(read_bytes(shards, place)), formats=["PNG"]) as image:
        return np.array(image, np.uint8)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_size(folder: Path, shard: dict[str, Any]) -> None:
    """Whether a shard is there and as long as the manifest says.

    Raises:
        InputError: it is missing, or of another length.
    """
    path = folder / f"{shard['name']}.tfrecord"
    found = path.stat().st_size if path.is_file() else None
    if found != shard["bytes"]:
        what = "it is missing" if found is None else f"expected {shard['bytes']} bytes, found {found}"
        raise InputError(f"datasets: {path} is broken: {what}. {_again(folder)}")


def read_index(folder: Path, shard: dict[str, Any]) -> dict[str, np.ndarray]:
    """The index of a shard; see tfmap.prepare.index for its arrays.

    Raises:
        InputError: it is missing, or not the one that the manifest knows.
    """
    path = folder / f"{shard['name']}.npz"
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != shard["index_sha256"]:
        what = "is not the one that was written" if data else "is missing"
        raise InputError(f"datasets: {path} {what}. {_again(folder)}")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)


def _parse(folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if not isinstance(manifest, dict):
        raise ValueError("expected a JSON object")
    return manifest


def _again(folder: Path) -> str:
    return f"Make it again: python -m tfmap.prepare SOURCE {folder}"


def _settings(manifest: dict[str, Any]) -> str:
    """As the command line takes them."""
    given = {name: value for name, value in manifest.get("settings", {}).items() if value is not None}
    return " ".join(f"{name if name == 'seed' else f'prepare.{name}'}={value}" for name, value in given.items())


def _shards(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [shard for part in manifest["splits"].values() for shard in part["shards"]]


def _listing(folder: Path, manifest: dict[str, Any]) -> Listing:
    shards = _shards(manifest)
    if not shards:
        raise InputError(f"datasets: {folder / MANIFEST} is damaged: it names no shards. {_again(folder)}")
    for shard in shards:
        check_size(folder, shard)
    tables = [read_index(folder, shard) for shard in shards]
    paths = tuple(str(folder / f"{shard['name']}.tfrecord") for shard in shards)
    classes, several = tuple(manifest["classes"]), manifest["multi_label"] or manifest["target"] != "label"
    return Listing(
        kind="record",
        images=_places(tables, "picture"),
        labels=_labels(tables, len(classes), several),
        ids=objects([name for table in tables for name in _texts(table)]),
        parts=objects(_parts(manifest)),
        classes=classes,
        skipped=tuple(Skipped(*row) for row in manifest["skipped"]),
        boxes=_boxes(tables) if "boxes" in tables[0] else None,
        masks=Masks(_places(tables, "mask"), partial(read_mask, shards=paths)) if "mask" in tables[0] else None,
        shards=paths,
        sizes=np.concatenate([table["sizes"] for table in tables]).astype(np.int64),
        digests=objects([digest for table in tables for digest in _digests(table)]),
    )


def _parts(manifest: dict[str, Any]) -> list[str]:
    return [part for part, about in manifest["splits"].items() for _ in range(about["records"])]


def _places(tables: list[dict[str, np.ndarray]], name: str) -> np.ndarray:
    places = np.zeros(sum(len(table[name]) for table in tables), RECORD)
    places["shard"] = np.repeat(np.arange(len(tables)), [len(table[name]) for table in tables])
    places["offset"], places["length"] = np.concatenate([table[name] for table in tables]).T
    return places


def _labels(tables: list[dict[str, np.ndarray]], count: int, several: bool) -> np.ndarray:
    values = np.concatenate([table["labels"] for table in tables])
    if not several:
        return values
    counts = np.concatenate([np.diff(table["label_starts"]) for table in tables])
    labels = np.zeros((len(counts), count), np.float32)
    labels[np.repeat(np.arange(len(counts)), counts), values] = 1
    return labels


def _boxes(tables: list[dict[str, np.ndarray]]) -> Boxes:
    counts = np.concatenate([np.diff(table["box_starts"]) for table in tables])
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns = (np.concatenate([table[name] for table in tables]) for name in ("boxes", "box_classes", "crowd"))
    return Boxes(starts, *columns, np.concatenate([table["difficult"] for table in tables]))


def _texts(table: dict[str, np.ndarray]) -> list[str]:
    text, ends = table["ids"].tobytes(), table["id_starts"].tolist()
    # A file's name need not be UTF-8; Python keeps such bytes as surrogates.
    return [text[start:end].decode("utf-8", "surrogateescape") for start, end in zip(ends, ends[1:], strict=False)]


def _digests(table: dict[str, np.ndarray]) -> list[str]:
    text = table["digests"].tobytes().hex()
    return [text[start : start + 32] for start in range(0, len(text), 32)]
