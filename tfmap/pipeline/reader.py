"""Rows of a split -> pictures of one size, whatever becomes of single files."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfmap import pixels
from tfmap.errors import InputError
from tfmap.pipeline import decode
from tfmap.source import Skipped, Split

_LOG = logging.getLogger(__name__)
_HOPELESS = 8  # from so many unreadable pictures on, a whole batch of them is an accident, not bad luck

_LOST: dict[int, dict[str, str]] = {}  # id of a split -> id of a picture -> why it could not be read


def lost(split: Split) -> tuple[Skipped, ...]:
    """The pictures that could not be read any more since the split was loaded; they had weight 0."""
    return tuple(Skipped(name, reason) for name, reason in sorted(_losses(split).items()))


class Reader:
    """Reads rows of a split.

    TensorFlow decodes the plain pictures; Pillow takes the odd ones, and those that TensorFlow fails on. What Pillow
    cannot read either is a black picture that does not count.

    Args:
        split: N pictures.
        size: (H, W) of the result.
        channels: C, 1 or 3.
        prepare: (image uint8 (h, w, C), size) -> uint8 (H, W, C), in TensorFlow.
        crop: share of the area of a random part of each picture, from and to; None for whole pictures.
        seed: of the random parts.
    """

    def __init__(
        self,
        split: Split,
        size: tuple[int, int],
        channels: int,
        prepare: Callable,
        crop: tuple[float, float] | None = None,
        seed: int = 0,
    ) -> None:
        self._split, self._size, self._channels, self._prepare = split, size, channels, prepare
        self._crop, self._seed = crop, seed
        self._lost = _losses(split)
        with tf.device("CPU:0"):
            self._images = tf.constant(split.images if split.kind == "pixels" else split.images.tolist())
            self._odd = tf.constant(split.odd)

    def __call__(self, chosen: tf.data.Dataset, workers: int | None = None) -> tf.data.Dataset:
        """Read batches.

        Args:
            chosen: of (rows, epoch): int64 (B,) in [0, N), -1 for none; int64 (), another epoch, other random parts.
            workers: batches read at the same time; by default one per CPU core, at most 16.

        Returns:
            tf.data.Dataset: of (rows, image, ok), in the same order: uint8 (B, H, W, C), and bool (B,) whether the
            picture could be read.
        """
        # A data set per batch, because only a data set can step over an element that fails. `interleave` runs them in
        # parallel; a `map` that drains them (get_single_element) runs one at a time once ops are deterministic.
        workers = workers or min(os.cpu_count() or 1, 16)
        read = chosen.interleave(self._by_tensorflow, workers, num_parallel_calls=workers, deterministic=True)
        return read.map(self._mended, workers, deterministic=True)

    @tf.autograph.experimental.do_not_convert
    def _by_tensorflow(self, rows: tf.Tensor, epoch: tf.Tensor) -> tf.data.Dataset:
        """One element: rows, epoch, slots int32 (n,) of the batch that TensorFlow could read, and their pictures."""
        batch_size = rows.shape[0]
        # From slices, even a single one: with deterministic ops, other sources keep `interleave` from running in
        # parallel (measured: 17 pictures at a time with it, 1 without).
        last = ([batch_size], tf.zeros((1, *self._size, self._channels), tf.uint8))
        plain = (rows >= 0) & ~tf.gather(self._odd, tf.maximum(rows, 0))
        slots = tf.cast(tf.where(plain)[:, 0], tf.int32)
        read = tf.data.Dataset.from_tensor_slices((slots, tf.boolean_mask(rows, plain)))
        read = read.map(lambda slot, row: (slot, self._plain(row, epoch))).ignore_errors()
        read = read.concatenate(tf.data.Dataset.from_tensor_slices(last))  # so that it is never empty
        return read.batch(batch_size + 1).map(lambda slots, images: (rows, epoch, slots[:-1], images[:-1]))

    @tf.autograph.experimental.do_not_convert
    def _mended(
        self, rows: tf.Tensor, epoch: tf.Tensor, slots: tf.Tensor, images: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Rows, pictures and whether they count: with what TensorFlow could not read."""
        batch_size = rows.shape[0]
        shape = (batch_size, *self._size, self._channels)

        def mend() -> tuple[tf.Tensor, tf.Tensor]:
            free = tf.scatter_nd(slots[:, tf.newaxis], tf.ones_like(slots), [batch_size]) == 0
            missing = tf.cast(tf.where(free & (rows >= 0))[:, 0], tf.int32)
            more, fine = self._by_pillow(tf.gather(rows, missing), epoch)
            where = tf.concat([slots, missing], 0)[:, tf.newaxis]
            ok = tf.scatter_nd(where, tf.concat([tf.ones_like(slots), tf.cast(fine, tf.int32)], 0), [batch_size]) > 0
            return tf.scatter_nd(where, tf.concat([images, more], 0), shape), ok

        whole = tf.equal(tf.size(slots), batch_size)
        images, ok = tf.cond(whole, lambda: (images, tf.ones(batch_size, tf.bool)), mend)
        return rows, tf.ensure_shape(images, shape), tf.ensure_shape(ok, (batch_size,))

    def _plain(self, row: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        window = self._window(row, epoch)
        if self._split.kind == "pixels":
            image = decode.match_channels(self._images[row], self._channels)
            image = image if window is None else decode.cut(image, window)
        else:
            data = self._images[row] if self._split.kind == "encoded" else tf.io.read_file(self._images[row])
            image = decode.decode(data, size=self._size, channels=self._channels, window=window)
        return self._fitted(image)

    def _by_pillow(self, rows: tf.Tensor, epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Pictures uint8 (m, H, W, C) and bool (m,), of int64 (m,) rows."""

        def one(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image, ok = tf.numpy_function(_weakly(self._open), [row], (tf.uint8, tf.bool), stateful=False)
            image = tf.ensure_shape(image, (None, None, self._channels))
            window = self._window(row, epoch)
            return self._fitted(image if window is None else decode.cut(image, window)), tf.ensure_shape(ok, ())

        picture = tf.TensorSpec((*self._size, self._channels), tf.uint8)
        images, ok = tf.map_fn(one, rows, fn_output_signature=(picture, tf.TensorSpec((), tf.bool)))
        return images, tf.numpy_function(_weakly(self._stop_if_hopeless), [ok], tf.bool, stateful=False)

    def _open(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        name = self._split.ids[row]
        try:
            at_least = self._size if self._crop is None else None
            return pixels.read(self._split.images[row], self._channels, at_least), np.True_
        except Exception as error:  # Pillow's plugins raise whatever their parsers stumble over
            reason = getattr(error, "strerror", None) or str(error)
            if name not in self._lost:
                _LOG.warning("%s can no longer be read and does not count: %s", name, reason)
            self._lost[name] = reason
            return np.zeros((1, 1, self._channels), np.uint8), np.False_

    def _stop_if_hopeless(self, ok: np.ndarray) -> np.ndarray:
        """Single lost files are no reason to stop; a lost disk is."""
        whole_batch = len(ok) >= _HOPELESS and not ok.any()
        if whole_batch or 2 * len(self._lost) > len(self._split):
            name, reason = next(iter(self._lost.items()))
            raise InputError(
                f"pipeline: {len(self._lost)} of the {len(self._split)} pictures can no longer be read. The first: "
                f"{name} ({reason}). Were the files moved or changed since the data set was loaded?"
            )
        return ok

    def _window(self, row: tf.Tensor, epoch: tf.Tensor) -> Callable | None:
        if self._crop is None:
            return None
        seed = tf.random.experimental.stateless_fold_in(tf.stack([tf.constant(self._seed, tf.int64), epoch]), row)
        return decode.random_window(self._crop, seed)

    def _fitted(self, image: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(self._prepare(image, self._size), (*self._size, self._channels))


def _weakly(method: Callable) -> Callable:
    """TensorFlow never lets go of a Python function in a graph; so it gets one that does not hold the reader.

    The reader lives as long as the data set, which its iterators hold.
    """
    reference = weakref.WeakMethod(method)
    return lambda *arguments: reference()(*arguments)


def _losses(split: Split) -> dict[str, str]:
    if id(split) not in _LOST:
        _LOST[id(split)] = {}
        weakref.finalize(split, _LOST.pop, id(split), None)
    return _LOST[id(split)]
