from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.prepare.test_plan import shards_of
from tests.prepare.test_shards import bytes_of
from tfmap.datasets import load
from tfmap.errors import InputError
from tfmap.prepare import pool
from tfmap.source import Masks


@contextmanager
def heard(handler=signal.default_int_handler):
    """Ctrl-C has this handler, whatever the tests were started with: a shell's background job ignores it."""
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_processes_make_what_one_makes(tmp_path):
    shards = shards_of(load("sample:trash"), shard_mb=1)
    made = {}
    for workers in (1, 2):
        out = tmp_path / str(workers)
        out.mkdir()
        made[workers] = sorted(pool.run(shards, out, workers), key=lambda one: one["shard"]["name"])
    assert made[1] == made[2]
    assert bytes_of(tmp_path / "1") == bytes_of(tmp_path / "2")
    assert len(made[1]) == 7


def test_shards_are_taken_a_few_ahead_only(tmp_path):
    shards, taken = shards_of(load("sample:trash"), shard_mb=1), []

    def one_by_one():
        for shard in shards:
            taken.append(shard)
            yield shard

    running = pool.run(one_by_one(), tmp_path, 2)
    next(running)
    assert len(taken) <= 3
    assert len(list(running)) == len(shards) - 1


def test_a_process_that_dies_is_told(annotated, tmp_path):
    split = annotated.split("train")
    # A reader of masks that ends the process, as the system does where memory runs out.
    deadly = replace(annotated, splits={"train": replace(split, masks=Masks(split.masks.items, os._exit))})
    with pytest.raises(InputError, match="a worker process died, perhaps .* Set prepare.workers to a smaller"):
        list(pool.run(shards_of(deadly), tmp_path, 2))


def test_ctrl_c_waits_for_the_executor(tmp_path):
    """It is starting threads and processes then, and an interrupt inside of that breaks it."""
    shards = shards_of(load("sample:trash"), shard_mb=1)

    def one_by_one():
        for number, shard in enumerate(shards):
            if number == 1:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)  # it does not come out here
            yield shard

    with heard():
        with pytest.raises(KeyboardInterrupt):
            list(pool.run(one_by_one(), tmp_path, 2))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_that_is_ignored_stays_ignored(tmp_path):
    shards = list(shards_of(load("sample:trash"), shard_mb=1))

    def one_by_one():
        for shard in shards:
            os.kill(os.getpid(), signal.SIGINT)
            yield shard

    with heard(signal.SIG_IGN):
        assert len(list(pool.run(one_by_one(), tmp_path, 2))) == len(shards)
