"""Source -> tf.data batches of uint8 pictures, all of one size.

The data flow: step -> rows (`order`) -> pictures (`reader`, or `cache`) -> batch. A batch is a function of its step,
without a shuffle buffer or other state, so a training can start at any step of any epoch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import numpy as np
import tensorflow as tf

from tfmap.checked import checked
from tfmap.errors import InputError
from tfmap.pipeline import cache as caching
from tfmap.pipeline import few, order, settings
from tfmap.pipeline import service as serving
from tfmap.pipeline.files import lost
from tfmap.pipeline.fit import AROUND
from tfmap.pipeline.reader import Reader
from tfmap.source import Split

__all__ = ["batches", "clear_errors", "in_order", "lost", "steps_per_epoch"]


FEW = 256  # as many are read in the time that it takes to build a data set of them (see `tfmap.pipeline.few`)


@checked("pipeline")
def batches(
    split: Split,
    *,
    size: tuple[int, int],
    prepare: Callable,
    channels: int = 3,
    training: bool = False,
    batch_size: int = 32,
    seed: int = 0,
    epoch: int = 0,
    step: int = 0,
    epochs: int | None = None,
    sampling: Literal["natural", "balanced"] = "natural",
    crop: list[float] | None = None,
    cache: Literal["auto", "none", "memory", "disk"] = "auto",
    cache_limit_mb: int = 1024,
    workers: int | None = None,
    max_boxes: int | None = None,
    service: str | None = None,
) -> tf.data.Dataset:
    """Batches of a split.

    Training: the order of epoch e is a permutation that follows from (seed, e), unless sampling is balanced; a last,
    incomplete batch is left out (its pictures come in other epochs). Evaluation: in order, the last batch filled up
    with black pictures of weight 0.

    A picture that cannot be read any more is black and has weight 0; it is logged and listed by `lost(split)`. Reading
    stops with an InputError's text where a whole batch (of 8 or more) or more than half of the split is lost.

    Args:
        split: N pictures.
        size: (H, W) of the model's input.
        prepare: (example, size) -> example of that size, in TensorFlow ops (AutoGraph is off); the task's resize. An
            example is a dict of image uint8 (h, w, C), boxes float32 (n, 4), mask uint8 and whole int32 (2,); see
            `tfmap.pipeline.fit`.
        channels: C of the model's input, 3 or 1.
        training: shuffled and endless, or in order and once.
        batch_size: pictures in a batch, B.
        seed: seed of the order and of the crops.
        epoch: epoch to start in.
        step: batch of that epoch to start at.
        epochs: epochs until the end, the one started in included; None for no end.
        sampling: natural, or balanced: every class has the same share of the training batches, the pictures of rare
            ones come back sooner; an epoch has as many batches as before. No effect on evaluation.
        crop: train on a random part of each picture, with this share of its area, such as [0.3, 1.0]; decodes only that
            part, so it excludes a cache. A part smaller than the input is enlarged. No effect on evaluation.
        cache: keep the resized pictures "memory" or "disk" (in $TFMAP_CACHE or ~/.cache/tfmap), or "none"; "auto" is
            memory where they fit in cache_limit_mb and there is no crop.
        cache_limit_mb: what "auto" may take per split, in MB.
        workers: batches read at the same time; by default one per CPU core, at most 16.
        max_boxes: boxes kept of a picture, the largest; by default the most that a picture of the split has.
        service: grpc://HOST:PORT of a tf.data service whose workers read training pictures, at the same paths; the
            batches stay the same, in the same order. No effect on evaluation. See `tfmap.pipeline.service`.

    Returns:
        tf.data.Dataset: of dicts. image uint8 (B, H, W, C), 0..255; label int32 (B,) or float32 (B, K); weight float32
        (B,), 1 or 0; in evaluation id string (B,), empty where the batch was filled up; and, where the split has them
        and `prepare` gives them back, boxes float32 (B, M, 4) and classes int32 (B, M), or mask int32 (B, H, W), or
        both, the mask called instances: 1 + the row of the object's box, 0 where is none; where `prepare` gives it
        back, whole int32 (B, 2), the pictures' own heights and widths. Crowd boxes are in no batch; a crop drops boxes
        of which less than a quarter is left.

    Raises:
        InputError: a setting is out of range, or the split is smaller than one training batch.
    """
    size = (int(size[0]), int(size[1]))
    settings.check(split, size, channels, batch_size, epoch, step, epochs, workers, max_boxes)
    crop = settings.checked_crop(crop, cache) if training else None
    read = Reader(split, size, channels, prepare, crop, seed, max_boxes)
    steps = _steps(split, batch_size, epoch, step, epochs) if training else range(-(-len(split) // batch_size))
    as_they_stand = partial(order.in_order, count=len(split), batch_size=batch_size)
    choose = order.training(split.labels, sampling, batch_size=batch_size, seed=seed) if training else as_they_stand
    if service is not None and training:
        serving.check(service, split, cache)
        return _served(service, split, read, choose, steps, workers)
    cache = caching.resolved(cache, crop, caching.megabytes(split, read), cache_limit_mb)
    if cache != "none":
        read = caching.cached(split, read, (size, channels, prepare, max_boxes), cache, workers)
    return _local(split, read, choose, steps, workers, with_id=not training)


def in_order(
    split: Split,
    *,
    size: tuple[int, int],
    prepare: Callable,
    channels: int = 3,
    batch_size: int = 32,
    workers: int | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """The batches of evaluation as arrays, read once; of few pictures at once, without a data set.

    Args:
        split: N pictures.
        size: as for `batches`, and so are the others.
        prepare: the same.
        channels: the same.
        batch_size: the same.
        workers: the same.

    Yields:
        dict: of arrays, to the last bit as `batches` has them.

    Raises:
        InputError: as `batches`, and where more than half of the split cannot be read.
    """
    size = (int(size[0]), int(size[1]))
    shape = {"size": size, "channels": channels, "batch_size": batch_size, "workers": workers}
    with clear_errors():
        if len(split) > FEW:
            for batch in batches(split, prepare=prepare, cache="none", **shape):  # read once, a cache costs memory
                yield {key: tensor.numpy() for key, tensor in batch.items()}
        else:
            settings.check(split, size, channels, batch_size, 0, 0, None, workers, None)
            yield from few.batches(split, Reader(split, size, channels, prepare), batch_size, workers)


def _steps(split: Split, batch_size: int, epoch: int, step: int, epochs: int | None) -> range:
    """Numbers of the training batches, counted over all epochs."""
    each = steps_per_epoch(split, batch_size)
    return range(epoch * each + step, tf.int64.max if epochs is None else (epoch + epochs) * each)


def _local(
    split: Split, read: Callable, choose: Callable, steps: range, workers: int | None, *, with_id: bool
) -> tf.data.Dataset:
    """Batches that this process reads."""
    chosen = tf.data.Dataset.range(steps.start, steps.stop).map(choose)
    made = read(chosen, workers).map(_labelled(split, with_id=with_id))
    return made.with_options(_options()).prefetch(tf.data.AUTOTUNE)


def _served(
    address: str, split: Split, read: Reader, choose: Callable, steps: range, workers: int | None
) -> tf.data.Dataset:
    """Training batches that the workers of a service read, and this process where they cannot."""
    label = _labelled(split, with_id=False)

    def remote(numbers: tf.data.Dataset) -> tf.data.Dataset:
        # The number travels with its rows: the service deals out each source of a data set by itself.
        made = read.plain(numbers.map(lambda number: (*choose(number), number)), workers)
        return made.map(
            lambda rows, pictures, whole, number: (number, label(rows, pictures, tf.ones_like(rows, tf.bool)), whole)
        )

    def local(step: int) -> tf.data.Dataset:
        return _local(split, read, choose, range(step, steps.stop), workers, with_id=False)

    return serving.served(remote, local, steps, address).with_options(_options()).prefetch(tf.data.AUTOTUNE)


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Training batches in an epoch; the last, incomplete one does not count.

    Raises:
        InputError: the split does not fill one batch.
    """
    if len(split) < batch_size:
        raise InputError(
            f"pipeline.batch_size is {batch_size}, but the split has only {len(split)} pictures. Set it to "
            f"{len(split)} or less."
        )
    return len(split) // batch_size


@contextmanager
def clear_errors() -> Iterator[None]:
    """Put around a loop over batches: what the pipeline raised within TensorFlow comes out as the InputError it was."""
    try:
        yield
    except tf.errors.OpError as error:
        found = re.search(r"InputError: (pipeline: [^\n]*)", str(error))
        if found is None:
            raise
        raise InputError(found.group(1)) from None


def _labelled(split: Split, *, with_id: bool) -> Callable:
    """(rows, pictures, ok) -> batch."""
    with tf.device("CPU:0"):
        labels = tf.constant(split.labels)
        ids = tf.constant(split.ids.tolist()) if with_id else None

    @tf.autograph.experimental.do_not_convert
    def batch(rows: tf.Tensor, pictures: dict[str, tf.Tensor], ok: tf.Tensor) -> dict[str, tf.Tensor]:
        at = tf.maximum(rows, 0)
        made = {**pictures, "label": tf.gather(labels, at), "weight": tf.cast(ok, tf.float32)}
        made |= {key: tf.cast(made[key], tf.int32) for key in AROUND.keys() & set(made)}
        return made | {"id": tf.where(rows >= 0, tf.gather(ids, at), "")} if with_id else made

    return batch


def _options() -> tf.data.Options:
    options = tf.data.Options()
    # Every worker can compute any batch, so each takes its share of the elements; there are no files to deal out.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options
