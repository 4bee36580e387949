"""A real dispatcher, real workers in processes of their own, and one that is killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from tfmap import pipeline
from tfmap.errors import InputError
from tfmap.pipeline import service
from tfmap.source import Masks
from tfmap.tasks.classification import prepare

WORKER = """
import sys, tensorflow as tf
dispatcher, port = sys.argv[1], int(sys.argv[2])
api = tf.data.experimental.service
config = api.WorkerConfig(dispatcher_address=dispatcher, worker_address=f"localhost:{port}", port=port)
server = api.WorkerServer(config)
print("ready", flush=True)
server.join()
"""
DISPATCHER = """
import sys, tensorflow as tf
api = tf.data.experimental.service
folder = sys.argv[2]
config = api.DispatcherConfig(port=int(sys.argv[1]), work_dir=folder, fault_tolerant_mode=True, worker_timeout_ms=3000)
server = api.DispatchServer(config)
print("ready", flush=True)
server.join()
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def start(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=quiet)
    assert process.stdout.readline().strip() == "ready"
    return process


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def cluster(tmp_path):
    """The address of a dispatcher, and the processes of its two workers."""
    port = free_port()
    dispatcher = start(DISPATCHER, port, tmp_path)
    workers = [start(WORKER, f"localhost:{port}", free_port()) for _ in range(2)]
    yield f"grpc://localhost:{port}", workers
    for process in (*workers, dispatcher):
        end(process)


def batches(split, **options):
    options = {"size": (16, 24), "prepare": prepare, "batch_size": 2, "cache": "none"} | options
    return pipeline.batches(split, training=True, seed=3, **options)


def same(made, expected):
    for a, b in zip(made, expected, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])


@pytest.fixture
def made_here(monkeypatch):
    """Numbers of the batches that were not taken from the service."""
    numbers, make = [], service._Local.batch
    monkeypatch.setattr(service._Local, "batch", lambda self, step: numbers.append(step) or make(self, step))
    return numbers


@pytest.mark.slow
def test_the_same_batches_in_the_same_order(cluster, split, made_here, monkeypatch):
    monkeypatch.setattr(service, "_PATIENCE", 100.0)
    monkeypatch.setattr(service, "_AHEAD", 1000)  # a slow worker is waited for
    address, _ = cluster
    for place in ({"epochs": 2}, {"epochs": 1, "epoch": 1, "step": 5, "crop": [0.3, 1.0]}):
        same(batches(split, service=address, **place), list(batches(split, **place)))
    assert made_here == []


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_costs_no_picture(cluster, split, made_here, monkeypatch):
    monkeypatch.setattr(service, "_PATIENCE", 4.0)
    address, workers = cluster
    expected, made = list(batches(split, epochs=8)), []
    for batch in batches(split, epochs=8, service=address):
        made.append(batch)
        if len(made) == 20:
            os.kill(workers[0].pid, signal.SIGKILL)
    same(made, expected)
    assert len(made_here) < len(made) / 2  # the other worker went on
    rows = np.concatenate([batch["label"] for batch in made[-25:]])
    assert sorted(rows) == list(range(50))


@pytest.mark.slow
def test_a_training_goes_on_without_any_worker(cluster, split, monkeypatch, caplog):
    monkeypatch.setattr(service, "_PATIENCE", 1.0)
    address, workers = cluster
    made = []
    for batch in batches(split, epochs=6, service=address):
        made.append(batch)
        if len(made) == 10:
            for worker in workers:
                os.kill(worker.pid, signal.SIGKILL)
    same(made, list(batches(split, epochs=6)))
    assert "sends nothing; this machine makes the batches until it does" in caplog.text


@pytest.mark.slow
def test_a_lost_file_is_black_and_told_here(cluster, copies, made_here):
    address, _ = cluster
    os.remove(copies.images[11])
    made = list(batches(copies, epochs=1, service=address))
    rows, weights = (np.concatenate([batch[key] for batch in made]) for key in ("label", "weight"))
    np.testing.assert_array_equal(weights, rows != 11)
    assert len(made_here) >= 1
    assert [lost.path for lost in pipeline.lost(copies)] == [copies.images[11]]


@pytest.mark.slow
def test_in_a_training_with_deterministic_ops(cluster, tmp_path):
    address, _ = cluster
    code = f"""
from tfmap import runtime, datasets, pipeline
from tfmap.tasks.classification import prepare
import numpy as np
runtime.seed_everything(0)
split = datasets.load("sample:trash").split("val").take(np.arange(40))
options = dict(size=(16, 16), prepare=prepare, training=True, epochs=2, batch_size=8, cache="none")
served = pipeline.batches(split, service={address!r}, **options)
for a, b in zip(served, pipeline.batches(split, **options), strict=True):
    np.testing.assert_array_equal(a["image"], b["image"])
print("same")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("same"), done.stderr[-2000:]


@pytest.mark.parametrize("address", ["localhost:5000", "grpc://localhost", "http://localhost:5000", "grpc://:1", ""])
def test_an_address_of_another_form(split, address):
    with pytest.raises(InputError, match=f"pipeline.service must look like grpc://HOST:PORT, received '{address}'"):
        batches(split, service=address)


def test_nobody_there(split):
    port = free_port()
    with pytest.raises(InputError, match=rf"no dispatcher answers at grpc://localhost:{port} \(.*refused\). Start one"):
        batches(split, service=f"grpc://localhost:{port}")


def test_pictures_that_need_python(split, path_split, files):
    odd = path_split(files, np.arange(50) < 7)
    with pytest.raises(InputError, match=r"7 of the 50 pictures need Python .* \(python -m tfmap.prepare\)"):
        batches(odd, service="grpc://localhost:1")


def test_masks_need_python(split):
    from dataclasses import replace

    masked = replace(split, masks=Masks(split.images, str))
    with pytest.raises(InputError, match="masks need Python to be read"):
        batches(masked, service="grpc://localhost:1")


def test_pictures_in_memory_stay_here(trash_split):
    with pytest.raises(InputError, match="files at paths that its workers see, received pixels"):
        batches(trash_split, service="grpc://localhost:1")


def test_a_cache_and_a_service_exclude_each_other(split):
    with pytest.raises(InputError, match="pipeline.cache cannot be 'memory'"):
        batches(split, service="grpc://localhost:1", cache="memory")


def test_no_effect_on_evaluation(split):
    options = {"size": (16, 24), "prepare": prepare, "batch_size": 8, "cache": "none"}
    assert len(list(pipeline.batches(split, service="grpc://localhost:1", **options))) == 7
