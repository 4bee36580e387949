"""The shards of a plan on the processes of one machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_one
from pathlib import Path
from typing import Any

from tfmap.errors import InputError
from tfmap.prepare.plan import Shard
from tfmap.prepare.shards import make

_GLANCE = 0.1  # seconds between two looks for Ctrl-C


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
    stopped, stop = context.Pipe(duplex=False)
    with _held() as check, ProcessPoolExecutor(workers, context, initializer=_start, initargs=(stopped,)) as pool:
        try:
            submitted = (pool.submit(make, shard, out) for shard in shards)
            yield from _as_done(submitted, workers + 1, check)
        except BrokenProcessPool as error:
            raise InputError(
                "prepare: a worker process died, perhaps because memory ran out. Set prepare.workers to a smaller "
                "number and run the same command again; it goes on where it stopped."
            ) from error
        except BaseException:  # Ctrl-C among them: nobody waits for shards that are half done
            stop.send(None)
            raise


@contextmanager
def _held() -> Iterator[Callable[[], None]]:
    """Ctrl-C waits for a call of what this gives: inside the executor it may break the executor."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as a shell has its jobs in the background do
    if ignored or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _as_done(submitted: Iterable[Future], ahead: int, check: Callable[[], None]) -> Iterator[dict[str, Any]]:
    # Submitted a few at a time: a shard of arrays is a copy of its pixels.
    waiting: set[Future] = set()
    for future in submitted:
        waiting.add(future)
        if len(waiting) >= ahead:
            done, waiting = _first(waiting, check)
            yield from (future.result() for future in done)
    while waiting:
        done, waiting = _first(waiting, check)
        yield from (future.result() for future in done)
    check()


def _first(waiting: set[Future], check: Callable[[], None]) -> tuple[set[Future], set[Future]]:
    """Those that are done, at least one, and the others."""
    done: set[Future] = set()
    while not done:
        check()
        done, waiting = wait(waiting, timeout=_GLANCE, return_when=FIRST_COMPLETED)
    return done, waiting


def _start(stopped: Connection) -> None:
    """A worker leaves Ctrl-C to the process that started it, and ends when that one says so, or ends itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ends = [multiprocessing.parent_process().sentinel, stopped]
    threading.Thread(target=_end_with, args=(ends,), daemon=True).start()


def _end_with(ends: list[int | Connection]) -> None:
    wait_for_one(ends)
    os._exit(1)
