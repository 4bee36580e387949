from __future__ import annotations

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tfmap import pipeline
from tfmap.pipeline import records
from tfmap.source import RECORD
from tfmap.tasks.classification import prepare


@pytest.fixture
def packed(tmp_path, split):
    """The 50 photographs in three shards, with strange bytes between them."""
    files = [bytearray(b"head") for _ in range(3)]
    places = np.empty(50, RECORD)
    for row, path in enumerate(split.images):
        data = Path(path).read_bytes()
        places[row] = (row % 3, len(files[row % 3]), len(data))
        files[row % 3] += data + b"between"
    paths = tuple(str(tmp_path / f"part-{i:05}-of-00003.tfrecord") for i in range(3))
    for path, content in zip(paths, files, strict=True):
        Path(path).write_bytes(content)
    return replace(split, kind="record", images=places, shards=paths)


def read(split, **options):
    options = {"size": (32, 40), "prepare": prepare, "batch_size": 8, "cache": "none"} | options
    made = list(pipeline.batches(split, **options))
    return tuple(np.concatenate([batch[key] for batch in made]) for key in ("image", "weight", "label"))


@pytest.mark.parametrize(
    "options",
    [{}, {"cache": "memory"}, {"cache": "disk"}, {"training": True, "epochs": 2, "crop": [0.3, 1.0]}],
    ids=str,
)
def test_records_read_like_files(packed, split, options):
    for a, b in zip(read(packed, **options), read(split, **options), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_odd_record_goes_to_pillow(packed, split):
    odd = np.arange(50) == 4
    for a, b in zip(read(replace(packed, odd=odd)), read(replace(split, odd=odd)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_shard_cut_short_loses_its_last_records_only(packed):
    path = packed.shards[1]
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) - 100)
    _, weights, _ = read(packed)
    np.testing.assert_array_equal(weights[:50], np.arange(50) != 49)
    (lost,) = pipeline.lost(packed)
    assert lost.path == packed.ids[49]
    assert "ends inside the record of" in lost.reason


def test_a_shard_that_is_gone_loses_its_records(packed):
    os.remove(packed.shards[2])
    _, weights, _ = read(packed)
    np.testing.assert_array_equal(weights[:50], np.arange(50) % 3 != 2)
    assert {lost.reason for lost in pipeline.lost(packed)} == {"No such file or directory"}


def test_many_files_many_threads_few_descriptors(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_OPEN", 2)
    before = len(os.listdir("/proc/self/fd"))
    shards = records.Shards(packed.shards)
    rows = np.random.default_rng(0).integers(0, 50, 600)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: shards.read(packed.images[row]), rows))
    for row, data in zip(rows, found, strict=True):
        assert data == Path(packed.ids[row]).read_bytes()
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    shards = None
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


FORK = """
import os, sys
import numpy as np
from tfmap.pipeline.records import Shards
from tfmap.source import RECORD

places = np.load(sys.argv[1]).astype(RECORD)
shards = Shards(sys.argv[2:])
expected = [shards.read(place) for place in places]
child = os.fork()
for _ in range(40):
    if shards.read_all(places) != expected:
        os._exit(1)
if not child:
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""


def test_a_forked_process_reads_at_its_own_places(packed, tmp_path):
    """Parent and child, at the same time and through one descriptor; in a process of its own, for a fork of this one
    would inherit the locks of threads that other tests have left."""
    np.save(tmp_path / "places.npy", packed.images)
    command = [sys.executable, "-c", FORK, str(tmp_path / "places.npy"), *packed.shards]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
