"""Prepared pictures of a whole split, made once: in memory or in a file of the user's cache."""

from __future__ import annotations

import hashlib
import os
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import track

from tfmap import caches
from tfmap.pipeline.reader import Reader
from tfmap.runs import replacing
from tfmap.source import Split

_VERSION = 1  # raise it when pictures are prepared otherwise
_BLOCK = 32  # pictures read at a time while a cache fills
_SHOW_FROM = 3000  # pictures; a smaller cache is full before a progress bar could be read

Read = Callable[[tf.data.Dataset, int | None], tf.data.Dataset]  # as Reader.__call__

# (id of a split, size, channels, prepare, kind) -> what gathers its rows; a training runs several phases over a split
_MADE: dict[tuple, Read] = {}


def megabytes(split: Split, size: tuple[int, int], channels: int) -> float:
    """What the prepared pictures of a split take."""
    return len(split) * size[0] * size[1] * channels / 2**20


def cached(
    split: Split, size: tuple[int, int], channels: int, prepare: Callable, kind: str, workers: int | None = None
) -> Read:
    """What is called like a Reader, but gathers rows of pictures that were prepared before.

    Args:
        split: N pictures.
        size: (H, W).
        channels: C, 1 or 3.
        prepare: as for a Reader.
        kind: "memory" or "disk".
        workers: batches read at the same time while the cache fills.
    """
    key = (id(split), size, channels, prepare, kind)
    if key not in _MADE:
        make = _in_memory if kind == "memory" else _on_disk
        _MADE[key] = make(split, size, channels, prepare, workers)
        weakref.finalize(split, _MADE.pop, key, None)
    return _MADE[key]


def _in_memory(split: Split, size: tuple[int, int], channels: int, prepare: Callable, workers: int | None) -> Read:
    pictures = np.empty((len(split) + 1, *size, channels), np.uint8)
    fine = _fill(pictures, Reader(split, size, channels, prepare), workers)
    with tf.device("CPU:0"):
        images, ok = tf.constant(pictures), tf.constant(fine)
    black = len(split)  # a number, so that the cache does not keep the split alive

    @tf.autograph.experimental.do_not_convert
    def gather(rows: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        at = tf.where(rows < 0, tf.constant(black, tf.int64), rows)
        return rows, tf.gather(images, at), tf.gather(ok, at)

    return _mapping(gather)


def _on_disk(split: Split, size: tuple[int, int], channels: int, prepare: Callable, workers: int | None) -> Read:
    folder = caches.folder("pixels") / _key(split, size, channels, prepare)
    # ok.npy is written last: where it is, pictures.npy is whole.
    if not (folder / "ok.npy").exists():
        _write(folder, Reader(split, size, channels, prepare), (len(split) + 1, *size, channels), workers)
    images, ok = np.load(folder / "pictures.npy", mmap_mode="r"), np.load(folder / "ok.npy")

    def take(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images[rows], ok[rows]  # row -1 is the last one, the black picture

    @tf.autograph.experimental.do_not_convert
    def gather(rows: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        pictures, fine = tf.numpy_function(take, [rows], (tf.uint8, tf.bool), stateful=False)
        return rows, tf.ensure_shape(pictures, (*rows.shape, *size, channels)), tf.ensure_shape(fine, rows.shape)

    return _mapping(gather)


def _mapping(gather: Callable) -> Read:
    return lambda chosen, workers: chosen.map(gather, workers or tf.data.AUTOTUNE, deterministic=True)


def _write(folder: Path, reader: Reader, shape: tuple[int, ...], workers: int | None) -> None:
    with replacing(folder / "pictures.npy") as temporary:
        pictures = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        fine = _fill(pictures, reader, workers)
        pictures.flush()
    with replacing(folder / "ok.npy") as temporary:
        np.save(temporary, fine)


def _fill(pictures: np.ndarray, reader: Reader, workers: int | None) -> np.ndarray:
    """Read N pictures, in order, into uint8 (N + 1, H, W, C); bool (N + 1,) whether each could be read.

    Picture N is black and never fine: what stands behind the last one of an evaluation.
    """
    count = len(pictures) - 1
    fine = np.zeros(count + 1, bool)
    pictures[count] = 0

    @tf.autograph.experimental.do_not_convert
    def block(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = start + tf.range(_BLOCK, dtype=tf.int64)
        return tf.where(rows < count, rows, -1), tf.constant(0, tf.int64)

    blocks = reader(tf.data.Dataset.range(0, count, _BLOCK).map(block), workers).prefetch(2)
    for start, (_, images, ok) in zip(_shown(range(0, count, _BLOCK), count), blocks, strict=True):
        size = min(_BLOCK, count - start)
        pictures[start : start + size] = images.numpy()[:size]
        fine[start : start + size] = ok.numpy()[:size]
    return fine


def _shown(starts: range, count: int) -> range:
    if count < _SHOW_FROM or not sys.stderr.isatty():
        return starts
    return track(starts, "Preparing every picture once", console=Console(stderr=True))


def _key(split: Split, size: tuple[int, int], channels: int, prepare: Callable) -> str:
    """Names a cache by what its pictures depend on: the files, the size, the code that prepares them."""
    mixed = hashlib.blake2b(digest_size=16)
    code = getattr(prepare, "__code__", None)
    name = getattr(prepare, "__qualname__", repr(prepare))
    for part in (_VERSION, tf.__version__, size, channels, name, code and code.co_code, code and code.co_consts):
        mixed.update(repr(part).encode())
    for image in split.images:
        mixed.update(_content(image, split.kind))
    return mixed.hexdigest()


def _content(image: str | bytes | np.ndarray, kind: str) -> bytes:
    if kind == "encoded":
        return hashlib.blake2b(image, digest_size=16).digest()
    if kind == "pixels":
        return image.tobytes()
    try:
        status = os.stat(image)
        return repr((os.path.abspath(image), status.st_size, status.st_mtime_ns)).encode()
    except OSError:
        return repr((os.path.abspath(image), "gone")).encode()
