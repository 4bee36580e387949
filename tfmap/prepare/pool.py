"""The shards of a plan on the processes of one machine."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from tfmap.errors import InputError
from tfmap.prepare.plan import Shard
from tfmap.prepare.shards import make


def run(shards: Iterable[Shard], out: Path, workers: int) -> Iterator[dict[str, Any]]:
    """What `make` returns for each shard, as they are done.

    Args:
        shards: taken as they are needed, a few ahead.
        out: the folder.
        workers: processes; 1 for this one.

    Raises:
        InputError: a process died.
    """
    if workers == 1:
        yield from (make(shard, out) for shard in shards)
        return
    # Spawned, because a fork of a process that has TensorFlow's threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start) as pool:
        try:
            yield from _as_done(lambda shard: pool.submit(make, shard, out), shards, workers + 1)
        except BrokenProcessPool as error:
            raise InputError(
                "prepare: a worker process died, perhaps because memory ran out. Set prepare.workers to a smaller "
                "number and run the same command again; it goes on where it stopped."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _as_done(submit: Callable[[Shard], Future], shards: Iterable[Shard], ahead: int) -> Iterator[dict[str, Any]]:
    # Submitted a few at a time: a shard of arrays is a copy of its pixels.
    waiting: set[Future] = set()
    for shard in shards:
        waiting.add(submit(shard))
        if len(waiting) >= ahead:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    yield from (future.result() for future in wait(waiting).done)


def _start() -> None:
    """A worker leaves Ctrl-C to the process that started it, and ends when that one does, however it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process().sentinel,), daemon=True).start()


def _end_with(parent: int) -> None:
    multiprocessing.connection.wait([parent])
    os._exit(1)
