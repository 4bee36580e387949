"""Open every picture and mask once: which can be read, which are odd, which are the same.

A verdict depends on the file alone, so it is kept in the user's cache by path, size and time of change; the second load
of a folder opens nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, get_type_hints

import numpy as np
import PIL

from tfmap import caches, pixels
from tfmap.datasets import records
from tfmap.datasets.listing import Listing
from tfmap.errors import InputError
from tfmap.progress import shown
from tfmap.runs import replacing

_VERSION = f"3, Pillow {PIL.__version__}"  # another version may judge otherwise
_BLOCK = 1024  # files handed to the threads at a time
_SHOW_FROM = 3000  # below this many files a scan is over before a progress bar could be read
_SETTLED = 2_000_000_000  # ns; a file changed twice within the clock's tick would keep its time of change


class Verdict(NamedTuple):
    """What is known of one picture.

    Attributes:
        digest: 32 hex digits that stand for its bytes.
        reason: why it cannot be read, "" if it can.
        odd, height, width, orientation, format, mode, hash: as in `pixels.Look`; nothing of what cannot be read.
    """

    digest: str
    reason: str
    odd: bool = False
    height: int = 0
    width: int = 0
    orientation: int = 1
    format: str = ""
    mode: str = ""
    hash: str = ""


class MaskVerdict(NamedTuple):
    """What is known of one mask.

    Attributes:
        reason: why it cannot be read, "" if it can.
        height: in pixels.
        width: in pixels.
        values: the numbers that occur in it, in order, as bytes in hex digits.
    """

    reason: str
    height: int = 0
    width: int = 0
    values: str = ""


def scan(listing: Listing, source: str, workers: int | None = None, *, hashed: bool = False) -> list[Verdict]:
    """The verdict on each picture of a listing, in its order.

    Args:
        listing: the pictures.
        source: names the cache.
        workers: threads; by default one per CPU core.
        hashed: whether the hash is needed; files have it anyway, arrays only then.

    Raises:
        InputError: less than one thread.
    """
    if workers is not None and workers < 1:
        raise InputError(f"datasets.workers must be at least 1, received {workers}.")
    if listing.kind == "pixels":
        return _run(partial(judge_array, hashed=hashed), listing.images, workers)
    if listing.kind == "record" and not hashed:  # each was looked at when it was prepared
        sizes = listing.sizes.tolist()
        return [Verdict(digest, "", height=h, width=w) for digest, (h, w) in zip(listing.digests, sizes, strict=True)]
    if listing.kind == "record":
        return _run(partial(judge_record, listing.shards), listing.images, workers)
    if listing.kind == "encoded":
        return _run(judge, listing.images, workers)
    return _scan_files(listing.images, source, judge_file, Verdict, workers)


def scan_masks(items: np.ndarray, source: str, workers: int | None = None) -> list[MaskVerdict]:
    """The verdict on each mask of `items`, paths or encoded bytes, in their order."""
    if len(items) and isinstance(items[0], bytes):
        return _run(judge_mask, items, workers)
    return _scan_files(items, source, judge_mask_file, MaskVerdict, workers)


def digest(data: bytes) -> str:
    """32 hex digits that stand for the content."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def judge(data: bytes) -> Verdict:
    """Look at the bytes of one picture."""
    try:
        return Verdict(digest(data), "", *pixels.examine(data))
    except Exception as error:  # Pillow's plugins raise whatever their parsers stumble over
        return Verdict(digest(data), _reason(error, data))


def judge_array(image: np.ndarray, *, hashed: bool = False) -> Verdict:
    """Look at the pixels of one picture."""
    return Verdict(digest(image.tobytes()), "", *pixels.examine_array(image, hashed=hashed))


def judge_record(shards: Sequence[str], place: np.void) -> Verdict:
    """Look at one record."""
    try:
        return judge(records.read_bytes(shards, place))
    except OSError as error:
        return Verdict("", error.strerror or str(error))


def judge_file(path: str) -> Verdict:
    """Look at one file."""
    try:
        return judge(_bytes(path))
    except OSError as error:
        return Verdict("", error.strerror or str(error))


def judge_mask(data: bytes) -> MaskVerdict:
    """Look at the bytes of one mask."""
    try:
        values = pixels.read_values(data)
        held = np.flatnonzero(np.bincount(values.ravel(), minlength=256)).astype(np.uint8)
        return MaskVerdict("", *values.shape, held.tobytes().hex())
    except Exception as error:
        return MaskVerdict(_reason(error, data))


def judge_mask_file(path: str) -> MaskVerdict:
    """Look at one mask's file."""
    try:
        return judge_mask(_bytes(path))
    except OSError as error:
        return MaskVerdict(error.strerror or str(error))


def _bytes(path: str) -> bytes:
    try:
        status = os.stat(path)
    except ValueError as error:  # a zero byte in a name
        raise OSError(f"cannot be a file name: {error}") from error
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise OSError("is no regular file")
    if status.st_size > pixels.LARGEST_FILE:
        raise OSError(f"is larger than {pixels.LARGEST_FILE >> 20} MB")
    with open(path, "rb") as file:
        return file.read()


def _reason(error: Exception, data: bytes) -> str:
    if not data:
        return "is empty (0 bytes)"
    if isinstance(error, PIL.UnidentifiedImageError):
        return "is no picture in a format that Pillow knows"
    return " ".join(str(error).split()) or type(error).__name__


def _scan_files(
    paths: Sequence[str], source: str, judge_one: Callable[[str], Any], kind: type, workers: int | None
) -> list[Any]:
    """Verdicts of one kind, from the cache where the file has not changed."""
    known = _load(source, kind)
    stamps = [_stamp(path) for path in paths]
    now = time.time_ns()
    verdicts = [_recall(known, kind, path, stamp) for path, stamp in zip(paths, stamps, strict=True)]
    new = [index for index, verdict in enumerate(verdicts) if verdict is None]
    for index, verdict in zip(new, _run(judge_one, [paths[index] for index in new], workers), strict=True):
        verdicts[index] = verdict
    if new:
        rows = zip(paths, stamps, verdicts, strict=True)
        settled = {path: [*stamp, *verdict] for path, stamp, verdict in rows if 0 < stamp[1] < now - _SETTLED}
        _save(source, kind, settled)
    return verdicts


def _stamp(path: str) -> tuple[int, int]:
    """(size, time of change in ns); zeros for a file that cannot be asked."""
    try:
        status = os.stat(path)
        # Without the right to read it, a verdict from a better day must not hide the error.
        return (status.st_size, status.st_mtime_ns) if os.access(path, os.R_OK) else (0, 0)
    except (OSError, ValueError):
        return 0, 0


def _recall(known: dict[str, list], kind: type, path: str, stamp: tuple[int, int]) -> Any:
    row = known.get(path)
    return kind(*row[2:]) if row and tuple(row[:2]) == stamp else None


def _cache_file(source: str, kind: type) -> os.PathLike:
    name = digest(f"{kind.__name__} {os.path.abspath(source)}".encode(errors="surrogateescape"))
    return caches.folder("scan") / f"{name}.json"


def _load(source: str, kind: type) -> dict[str, list]:
    """Verdicts by path; nothing where the cache is missing, broken or of another version."""
    types = [int, int, *get_type_hints(kind).values()]
    try:
        content = json.loads(_cache_file(source, kind).read_text(encoding="utf-8"))
        rows = content["files"] if content["version"] == _VERSION else {}
        whole = all(list(map(type, row)) == types for row in rows.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return rows if whole else {}


def _save(source: str, kind: type, rows: dict[str, list]) -> None:
    try:
        with replacing(_cache_file(source, kind)) as temporary:
            temporary.write_text(json.dumps({"version": _VERSION, "files": rows}), encoding="utf-8")
    except OSError:  # a read-only home: the next load scans again, nothing else is lost
        return


def _run(judge_one: Callable[..., Any], items: Sequence | np.ndarray, workers: int | None) -> list[Any]:
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        judged, worth = _in_blocks(pool, judge_one, items), len(items) >= _SHOW_FROM
        return list(shown(judged, len(items), "Looking at every picture once", worth=worth))


def _in_blocks(pool: ThreadPoolExecutor, judge_one: Callable[..., Any], items: Sequence) -> Iterable[Any]:
    # pool.map queues all it is given: a million files would be a million waiting futures.
    for start in range(0, len(items), _BLOCK):
        yield from pool.map(judge_one, items[start : start + _BLOCK])
