"""Input work on other machines, by tf.data service.

Start one dispatcher, and a worker on every machine that shall help; all of them see the files at the same paths:

    tf.data.experimental.service.DispatchServer(tf.data.experimental.service.DispatcherConfig(port=5000)).join()
    tf.data.experimental.service.WorkerServer(
        tf.data.experimental.service.WorkerConfig(dispatcher_address="HOST:5000", worker_address="ME:5001", port=5001)
    ).join()

The service deals out the numbers of batches (its sharding policy DYNAMIC) and promises each at most once, in any order:
a worker that dies takes along the batches that it had begun. A batch is a function of its number, so what is lost can
be made here, and what comes early can wait. That turns the promise into: every batch exactly once, in the order it has
without a service. A training is therefore the same with and without it, and is resumed as exactly.
"""

from __future__ import annotations

import logging
import queue
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from tfmap.errors import InputError
from tfmap.source import Split

_LOG = logging.getLogger(__name__)
_AHEAD = 32  # batches that may wait for an earlier one before that counts as lost
_PATIENCE = 10.0  # seconds without any batch before this machine makes the next one itself
_CONNECT = 5.0  # seconds to reach the dispatcher

Batch = dict[str, Any]


def check(address: str, split: Split, cache: str) -> None:
    """Check that a split can be read by the workers of a service, and that there is one.

    Raises:
        InputError: an address of another form, nobody there, pictures that TensorFlow alone cannot read, or a cache.
    """
    found = re.fullmatch(r"grpc://([^:/]+|\[[^\]]+\]):(\d{1,5})", address)
    if not found:
        raise InputError(f"pipeline.service must look like grpc://HOST:PORT, received {address!r}.")
    if cache in ("memory", "disk"):
        raise InputError(
            f"pipeline.service leaves nothing to keep here, so pipeline.cache cannot be {cache!r}. Drop one."
        )
    cure = "Make them plain files (python -m tfmap.prepare), or leave pipeline.service out."
    if split.kind != "path":
        raise InputError(f"pipeline.service reads files at paths that its workers see, received {split.kind}. {cure}")
    if split.masks is not None or split.odd.any():
        what = "masks" if split.masks is not None else f"{int(split.odd.sum())} of the {len(split)} pictures"
        raise InputError(f"pipeline.service: {what} need Python to be read, which its workers do not have. {cure}")
    _reach(found[1].strip("[]"), int(found[2]), address)


def _reach(host: str, port: int, address: str) -> None:
    try:
        socket.create_connection((host, port), timeout=_CONNECT).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"pipeline.service: no dispatcher answers at {address} ({error}). Start one, see tfmap.pipeline.service."
        ) from None


def served(
    remote: Callable[[tf.data.Dataset], tf.data.Dataset],
    local: Callable[[int], tf.data.Dataset],
    steps: range,
    address: str,
) -> tf.data.Dataset:
    """The batches of a training, made elsewhere.

    Args:
        remote: numbers of batches -> (number int64 (), batch, whole bool ()), what the workers compute. A batch that is
            not whole has a picture that could not be read there.
        local: number -> the batches from there on, made here.
        steps: the numbers, rising by one.
        address: grpc://HOST:PORT.

    Returns:
        tf.data.Dataset: of the batches, all of them, in order.
    """
    made = remote(tf.data.Dataset.range(steps.start, steps.stop))
    policy = tf.data.experimental.service.ShardingPolicy.DYNAMIC
    shared = made.apply(tf.data.experimental.service.distribute(policy, address))
    return tf.data.Dataset.from_generator(
        lambda: _in_order(shared, _Local(local), steps, address), output_signature=made.element_spec[1]
    )


def _in_order(shared: tf.data.Dataset, local: _Local, steps: range, address: str) -> Iterator[Batch]:
    inbox = _Inbox(shared, address)
    early: dict[int, Batch | None] = {}
    try:
        for step in steps:
            while step not in early and len(early) < _AHEAD and (found := inbox.next()):
                number, batch = found
                if number >= step:  # else it was made here meanwhile
                    early[number] = batch
            batch = early.pop(step, None)
            yield local.batch(step) if batch is None else batch
    finally:
        inbox.close()


class _Inbox:
    """What a service sends, fetched by a thread of its own, so that waiting for it can end."""

    def __init__(self, shared: tf.data.Dataset, address: str) -> None:
        self._queue, self._stop = queue.Queue(maxsize=4), threading.Event()
        self._address, self._patience = address, _PATIENCE
        threading.Thread(target=self._fetch, args=(shared,), daemon=True).start()

    def next(self) -> tuple[int, Batch | None] | None:
        """Number and batch, or None for one that is not whole; None where nothing comes for too long."""
        try:
            found = self._queue.get(timeout=self._patience)
        except queue.Empty:
            if self._patience:
                _LOG.warning("%s sends nothing; this machine makes the batches until it does", self._address)
            found = None
        self._patience = 0.0 if found is None else _PATIENCE
        return found

    def close(self) -> None:
        self._stop.set()

    def _fetch(self, shared: tf.data.Dataset) -> None:
        try:
            for number, batch, whole in shared:
                found = int(number), {key: batch[key].numpy() for key in batch} if whole else None
                if not self._put(found):
                    return
        except tf.errors.OpError as error:
            _LOG.warning("%s broke: %s", self._address, error.message.split("\n")[0])
        self._put(None)  # nothing more will come

    def _put(self, found: tuple[int, Batch | None] | None) -> bool:
        """Whether it was taken; not once the inbox is closed."""
        while not self._stop.is_set():
            try:
                self._queue.put(found, timeout=0.5)
                return True
            except queue.Full:
                continue
        return False


class _Local:
    """Makes batches by their numbers; those in a row without starting anew."""

    def __init__(self, batches: Callable[[int], tf.data.Dataset]) -> None:
        self._batches, self._next, self._iterator = batches, -1, None

    def batch(self, step: int) -> Batch:
        if step != self._next:
            self._iterator = iter(self._batches(step))
        self._next = step + 1
        return {key: value.numpy() for key, value in next(self._iterator).items()}
