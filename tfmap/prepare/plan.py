"""Which picture goes in which shard: a function of what the source holds and of the settings, never of the machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import PIL

from tfmap.datasets import records
from tfmap.datasets.listing import Listing, objects
from tfmap.datasets.scan import Verdict, digest, scan
from tfmap.source import Skipped, Source, Split


@dataclass(frozen=True)
class Settings:
    """What was asked for; the arguments of `prepare` of these names."""

    shard_mb: int = 128
    max_side: int | None = None
    encode: Literal["keep", "jpeg", "png"] = "keep"
    quality: int = 92
    seed: int = 0


@dataclass(frozen=True)
class Shard:
    """What one shard shall hold.

    Attributes:
        name: "train-00000-of-00003", the name of its files without their suffix.
        split: its n pictures, in their order.
        digests: object (n,) of str: content digests of the pictures as they are in the source.
        names: object (n,) of str: the ids that are written.
        classes: how many there are.
        settings: how pictures are written.
    """

    name: str
    split: Split
    digests: np.ndarray
    names: np.ndarray
    classes: int
    settings: Settings

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Rows:
    """One split, its pictures looked at, and the order in which they are written.

    Attributes:
        name: "train", "val" or "test".
        split: the pictures.
        order: int64 (N,): those that can be read, in the order of the records.
        digests: object (N,) of str, in that order.
        names: object (N,) of str, in that order: ids, without the folder that all of them lie in.
        shard_names: of the shards that they fill.
    """

    name: str
    split: Split
    order: np.ndarray
    digests: np.ndarray
    names: np.ndarray
    shard_names: tuple[str, ...]


def look(source: Source, settings: Settings, workers: int | None) -> tuple[list[Rows], list[Skipped]]:
    """Look at every picture once, and put each split in its order.

    The order is a shuffle by the hash of id and seed, so that a reader of the stream gets classes well mixed; and a
    picture that is edited stays where it was, so that no other shard has to be made again.

    Returns:
        the splits; and the pictures that can no longer be read.
    """
    verdicts = _verdicts(source, workers)
    root = _root(source)
    skipped = [
        Skipped(name, verdict.reason)
        for split, seen in zip(source.splits.values(), verdicts, strict=True)
        for name, verdict in zip(split.ids, seen, strict=True)
        if verdict.reason
    ]
    looked = zip(source.splits.items(), verdicts, strict=True)
    return [_rows(name, split, seen, root, settings) for (name, split), seen in looked], skipped


def shards(rows: Rows, classes: int, settings: Settings) -> Iterator[Shard]:
    """The shards of a split, of equal numbers of pictures, made one at a time: pixels are copied for each."""
    cut = np.array_split(np.arange(len(rows.names)), len(rows.shard_names))
    for name, chosen in zip(rows.shard_names, cut, strict=True):
        yield Shard(
            name=name,
            split=rows.split.take(rows.order[chosen]),
            digests=rows.digests[chosen],
            names=rows.names[chosen],
            classes=classes,
            settings=settings,
        )


def content(split: Split, row: int) -> bytes | np.ndarray:
    """A picture as the source holds it: its encoded bytes, or uint8 (h, w, C).

    Raises:
        OSError: it cannot be read any more.
    """
    image = split.images[row]
    if split.kind == "path":
        with open(image, "rb") as file:
            return file.read()
    return records.read_bytes(split.shards, image) if split.kind == "record" else image


def content_digest(held: bytes | np.ndarray) -> str:
    """32 hex digits that stand for what `content` gave."""
    return digest(held if isinstance(held, bytes) else held.tobytes())


def _verdicts(source: Source, workers: int | None) -> list[list[Verdict]]:
    """For each split the verdicts on its pictures; of files, those that `load` left in the cache where they hold."""
    splits = list(source.splits.values())
    files = [split for split in splits if split.kind == "path"]
    seen: Iterator[Verdict] = iter(())
    if files:
        # In one go, because a scan writes the cache of the whole source.
        columns = (np.concatenate([getattr(split, name) for split in files]) for name in ("images", "labels", "ids"))
        images, labels, ids = columns
        seen = iter(scan(Listing("path", images, labels, ids, ids, source.classes), source.id, workers))
    return [
        [next(seen) if split.kind == "path" else _judged(split, row) for row in range(len(split))] for split in splits
    ]


def _judged(split: Split, row: int) -> Verdict:
    try:
        return Verdict(content_digest(content(split, row)), "", bool(split.odd[row]))
    except OSError as error:
        return Verdict("", str(error))


def _root(source: Source) -> str:
    """What all ids start with, if they are paths: left out, the same data elsewhere gives the same shards."""
    splits = [split for split in source.splits.values() if len(split)]
    ids = [name for split in splits for name in split.ids]
    if any(split.kind != "path" for split in splits) or len({os.path.isabs(name) for name in ids}) != 1:
        return ""
    # The folders, not the files: a split of one picture keeps its name.
    root = os.path.commonpath([os.path.dirname(name) for name in ids])
    return os.path.join(root, "") if root else ""


def _rows(name: str, split: Split, verdicts: Sequence[Verdict], root: str, settings: Settings) -> Rows:
    names = [one.removeprefix(root) for one in split.ids]
    order = sorted(
        (row for row, verdict in enumerate(verdicts) if not verdict.reason),
        key=lambda row: (_mixed(names[row], settings.seed), verdicts[row].digest),
    )
    odd = np.array([verdict.odd for verdict in verdicts], bool)
    columns = (objects([values[row] for row in order]) for values in ([one.digest for one in verdicts], names))
    count = max(1, min(len(order), -(-_bytes(split, order) // (settings.shard_mb << 20))))
    shard_names = tuple(f"{name}-{number:05}-of-{count:05}" for number in range(count))  # as TensorFlow names them
    return Rows(name, replace(split, odd=odd), np.array(order, np.int64), *columns, shard_names)


def _mixed(name: str, seed: int) -> str:
    return digest(f"{seed}:{name}".encode(errors="surrogateescape"))


def _bytes(split: Split, rows: list[int]) -> int:
    """What some of the pictures take in the source."""
    if split.kind == "path":
        return sum(os.path.getsize(split.images[row]) for row in rows)
    if split.kind == "encoded":
        return sum(len(split.images[row]) for row in rows)
    return len(rows) * split.images[0].nbytes if split.kind == "pixels" else int(split.images["length"][rows].sum())


def key(shard: Shard) -> str:
    """32 hex digits that stand for all that makes a shard, but its masks: the index keeps a digest of each of them."""
    mixed = hashlib.blake2b(digest_size=16)
    split, boxes = shard.split, shard.split.boxes
    # Another Pillow may encode the same pixels in other bytes.
    about = (records.SCHEMA, PIL.__version__, shard.name, shard.classes, asdict(shard.settings))
    for part in (about, shard.digests.tolist(), shard.names.tolist(), split.odd.tolist()):
        mixed.update(repr(part).encode(errors="surrogateescape"))
    for array in (split.labels, *(() if boxes is None else vars(boxes).values())):
        mixed.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return mixed.hexdigest()
