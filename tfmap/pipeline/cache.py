"""Prepared pictures of a whole split, made once: in memory or in a file of the user's cache."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfmap import caches
from tfmap.pipeline.annotations import BLANK
from tfmap.pipeline.reader import Reader
from tfmap.progress import shown
from tfmap.runs import replacing
from tfmap.source import Split

_VERSION = 4  # raise it when pictures are prepared otherwise
_BLOCK = 32  # pictures read at a time while a cache fills
_SHOW_FROM = 3000  # pictures; a smaller cache is full before a progress bar could be read

Read = Callable[[tf.data.Dataset, int | None], tf.data.Dataset]  # as Reader.__call__

# (id of a split, size, channels, prepare, most boxes, kind) -> what gathers its rows; a training runs several phases
_MADE: dict[tuple, Read] = {}


def megabytes(split: Split, reader: Reader) -> float:
    """What the prepared pictures of a split take."""
    return len(split) * sum(spec.shape.num_elements() * spec.dtype.size for spec in reader.spec.values()) / 2**20


def resolved(cache: str, crop: tuple[float, float] | None, needed_mb: float, limit_mb: int) -> str:
    """What a setting of `pipeline.cache` comes to: none, memory or disk."""
    if cache != "auto":
        return cache
    return "memory" if crop is None and needed_mb <= limit_mb else "none"


def cached(split: Split, reader: Reader, key: tuple, kind: str, workers: int | None = None) -> Read:
    """What is called like a Reader, but gathers rows of pictures that were prepared before.

    Args:
        split: N pictures.
        reader: reads them whole.
        key: size, channels, prepare and the most boxes of a picture: what the result depends on besides the split.
        kind: "memory" or "disk".
        workers: batches read at the same time while the cache fills.
    """
    found = (id(split), *key, kind)
    if found not in _MADE:
        _MADE[found] = (
            _in_memory(reader, len(split), workers)
            if kind == "memory"
            else _on_disk(reader, len(split), _folder(split, key), workers)
        )
        weakref.finalize(split, _MADE.pop, found, None)
    return _MADE[found]


def _in_memory(reader: Reader, count: int, workers: int | None) -> Read:
    pictures = {key: np.empty((count + 1, *spec.shape), spec.dtype.as_numpy_dtype) for key, spec in reader.spec.items()}
    fine = _fill(pictures, reader, workers)
    with tf.device("CPU:0"):
        made, ok = {key: tf.constant(pictures.pop(key)) for key in list(pictures)}, tf.constant(fine)

    @tf.autograph.experimental.do_not_convert
    def gather(rows: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
        at = tf.where(rows < 0, tf.constant(count, tf.int64), rows)
        return rows, {key: tf.gather(made[key], at) for key in made}, tf.gather(ok, at)

    return _mapping(gather)


def _on_disk(reader: Reader, count: int, folder: Path, workers: int | None) -> Read:
    spec = reader.spec  # a cache does not keep its reader, which holds the split
    # ok.npy is written last: where it is, the others are whole.
    if not (folder / "ok.npy").exists():
        _write(folder, reader, count, workers)
    files = {key: np.load(folder / f"{key}.npy", mmap_mode="r") for key in spec}
    ok = np.load(folder / "ok.npy")

    def take(rows: np.ndarray) -> list[np.ndarray]:
        return [*(file[rows] for file in files.values()), ok[rows]]  # row -1 is the last one, the blank picture

    @tf.autograph.experimental.do_not_convert
    def gather(rows: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
        kinds = [*(spec[key].dtype for key in files), tf.bool]
        *values, fine = tf.numpy_function(take, [rows], kinds, stateful=False)
        made = dict(zip(files, values, strict=True))
        made = {key: tf.ensure_shape(made[key], (*rows.shape, *spec[key].shape)) for key in made}
        return rows, made, tf.ensure_shape(fine, rows.shape)

    return _mapping(gather)


def _mapping(gather: Callable) -> Read:
    return lambda chosen, workers: chosen.map(gather, workers or tf.data.AUTOTUNE, deterministic=True)


def _write(folder: Path, reader: Reader, count: int, workers: int | None) -> None:
    with ExitStack() as files:
        pictures = {}
        for key, spec in reader.spec.items():
            path = files.enter_context(replacing(folder / f"{key}.npy"))
            shape = (count + 1, *spec.shape)
            pictures[key] = np.lib.format.open_memmap(path, "w+", spec.dtype.as_numpy_dtype, shape)
        fine = _fill(pictures, reader, workers)
        for array in pictures.values():
            array.flush()
    with replacing(folder / "ok.npy") as temporary:
        np.save(temporary, fine)


def _fill(pictures: dict[str, np.ndarray], reader: Reader, workers: int | None) -> np.ndarray:
    """Read N pictures, in order, into arrays of N + 1; bool (N + 1,) whether each could be read.

    Picture N is blank and never fine: what stands behind the last one of an evaluation.
    """
    count = len(pictures["image"]) - 1
    fine = np.zeros(count + 1, bool)
    for key, array in pictures.items():
        array[count] = BLANK[key]

    @tf.autograph.experimental.do_not_convert
    def block(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = start + tf.range(_BLOCK, dtype=tf.int64)
        return tf.where(rows < count, rows, -1), tf.constant(0, tf.int64)

    blocks = reader(tf.data.Dataset.range(0, count, _BLOCK).map(block), workers).prefetch(2)
    starts = range(0, count, _BLOCK)
    passing = shown(
        zip(starts, blocks, strict=True), len(starts), "Preparing every picture once", worth=count >= _SHOW_FROM
    )
    for start, (_, made, ok) in passing:
        size = min(_BLOCK, count - start)
        for key, array in pictures.items():
            array[start : start + size] = made[key].numpy()[:size]
        fine[start : start + size] = ok.numpy()[:size]
    return fine


def _folder(split: Split, key: tuple) -> Path:
    """Named by what the pictures depend on: the files, the boxes and masks, the size, the code that prepares them."""
    size, channels, prepare, most = key
    mixed = hashlib.blake2b(digest_size=16)
    for part in (_VERSION, tf.__version__, size, channels, most, *_code(prepare), split.shards):
        mixed.update(repr(part).encode())
    for image in _contents(split):
        mixed.update(image)
    return caches.folder("pixels") / mixed.hexdigest()


def _code(prepare: Callable) -> tuple:
    """A function by what it does, so that an edit makes another cache; what it calls is covered by _VERSION."""
    code = getattr(prepare, "__code__", None)
    name = getattr(prepare, "__qualname__", repr(prepare))
    return name, code and code.co_code, code and code.co_consts, code and code.co_names


def _contents(split: Split) -> Iterator[bytes]:
    if split.kind == "record":
        yield split.images.tobytes()
        yield from map(_file, split.shards)
    elif split.kind == "path":
        yield from map(_file, split.images)
    else:
        yield from (hashlib.blake2b(image, digest_size=16).digest() for image in split.images)
    if split.boxes is not None:
        yield from (np.ascontiguousarray(array).tobytes() for array in vars(split.boxes).values())
    if split.masks is not None:
        yield repr(split.masks.reader).encode()
        yield from (_file(item) if isinstance(item, str) else repr(item).encode() for item in split.masks.items)


def _file(path: str) -> bytes:
    try:
        status = os.stat(path)
        return repr((os.path.abspath(path), status.st_size, status.st_mtime_ns)).encode()
    except OSError:
        return repr((os.path.abspath(path), "gone")).encode()
