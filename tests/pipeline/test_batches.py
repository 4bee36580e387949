"""What `batches` promises to a training and an evaluation."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tfmap import batch as contract
from tfmap import pipeline
from tfmap.errors import InputError
from tfmap.tasks.classification import prepare

SIZE = (16, 24)


def batches(split, **options):
    return pipeline.batches(split, **{"size": SIZE, "prepare": prepare, "batch_size": 8} | options)


def rows(data):
    return [tuple(batch["label"].numpy()) for batch in data]


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_training_batches_keep_the_contract(split, cache):
    data = batches(split, training=True, epochs=1, cache=cache)
    assert data.element_spec == {
        "image": tf.TensorSpec((8, *SIZE, 3), tf.uint8),
        "label": tf.TensorSpec((8,), tf.int32),
        "weight": tf.TensorSpec((8,), tf.float32),
    }
    made = [contract.check(batch) for batch in data]
    assert len(made) == pipeline.steps_per_epoch(split, 8) == 6
    assert all((batch["weight"].numpy() == 1).all() for batch in made)


def test_evaluation_is_in_order_and_keeps_the_tail(split):
    data = batches(split, channels=1)
    assert data.element_spec["image"] == tf.TensorSpec((8, *SIZE, 1), tf.uint8)
    assert data.element_spec["id"] == tf.TensorSpec((8,), tf.string)
    made = [contract.check(batch) for batch in data]
    assert len(made) == 7
    labels, ids, weights = (np.concatenate([batch[key] for batch in made]) for key in ("label", "id", "weight"))
    np.testing.assert_array_equal(labels[:50], split.labels)
    assert [name.decode() for name in ids[:50]] == list(split.ids)
    np.testing.assert_array_equal(weights, [1] * 50 + [0] * 6)
    assert set(ids[50:]) == {b""}
    assert not made[-1]["image"][2:].numpy().any()


def test_evaluation_of_less_than_a_batch(split):
    (made,) = batches(split.take(np.arange(3)))
    np.testing.assert_array_equal(made["weight"], [1, 1, 1, 0, 0, 0, 0, 0])


def test_the_picture_belongs_to_the_label(split):
    still = np.concatenate([batch["image"] for batch in batches(split)])
    for made in batches(split, training=True, epochs=1, cache="none"):
        np.testing.assert_array_equal(made["image"], still[made["label"].numpy()])


def test_several_labels_a_picture(files, path_split):
    split = path_split(files)
    split = replace(split, labels=np.eye(50, dtype=np.float32))
    data = batches(split, training=True, epochs=1)
    assert data.element_spec["label"] == tf.TensorSpec((8, 50), tf.float32)
    np.testing.assert_array_equal(next(iter(data))["label"].numpy().sum(1), 1)


def test_balanced_sampling_shares_the_batches_among_the_classes(split):
    rare = replace(split, labels=np.where(np.arange(50) < 4, 0, 1).astype(np.int32))
    options = {"training": True, "sampling": "balanced", "cache": "none", "epochs": 2}
    labels = np.array(rows(batches(rare, **options)))
    assert labels.shape == (12, 8)
    np.testing.assert_array_equal(labels.sum(axis=1), 4)
    assert rows(batches(rare, **options, step=5)) == [tuple(row) for row in labels[5:]]
    in_order = np.concatenate([batch["label"] for batch in batches(rare, sampling="balanced")])
    np.testing.assert_array_equal(in_order[:50], rare.labels)


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_each_picture_once_an_epoch_and_other_orders(split, cache):
    order = rows(batches(split, training=True, epochs=3, batch_size=10, cache=cache))
    epochs = [sum(order[i : i + 5], ()) for i in (0, 5, 10)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len(set(epochs)) == 3


@pytest.mark.parametrize("options", [{"cache": "memory"}, {"crop": [0.3, 1.0]}], ids=str)
def test_a_start_at_any_step_continues_the_same_stream(split, options):
    def images(**place):
        return [batch["image"].numpy() for batch in batches(split, training=True, seed=3, **options, **place)]

    whole = images(epochs=3)
    for epoch, step in [(0, 4), (1, 0), (2, 5)]:
        rest = images(epochs=3 - epoch, epoch=epoch, step=step)
        assert len(rest) == 18 - 6 * epoch - step
        np.testing.assert_array_equal(rest, whole[6 * epoch + step :])


def test_one_seed_one_order(split):
    first, again, other = (rows(batches(split, training=True, epochs=1, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_without_epochs_there_is_no_end(split):
    assert len(list(batches(split, training=True).take(40))) == 40


def test_workers_change_nothing(split):
    alone, many = (rows(batches(split, training=True, epochs=2, cache="none", workers=workers)) for workers in (1, 5))
    assert alone == many


def test_crops_differ_between_epochs_and_are_parts(split):
    one = split.take(np.zeros(8, int))
    epochs = [batch["image"].numpy() for batch in batches(one, training=True, epochs=2, crop=[0.2, 0.5])]
    assert (epochs[0] != epochs[1]).any()
    assert (epochs[0][0] != epochs[0][1]).any()  # the same picture, in another row of the split
    (whole,) = batches(one, training=True, epochs=1, crop=[1.0, 1.0])
    assert whole["image"].shape == (8, *SIZE, 3)


def test_a_picture_smaller_than_the_input_is_enlarged(split):
    big = next(iter(batches(split, size=(300, 300), training=True, crop=[0.3, 0.5], batch_size=2)))
    assert big["image"].shape == (2, 300, 300, 3)


def test_crop_has_no_effect_on_evaluation(split):
    for a, b in zip(batches(split, cache="none"), batches(split, crop=[0.3, 1.0], cache="none"), strict=True):
        np.testing.assert_array_equal(a["image"], b["image"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "pipeline.batch_size must be at least 1, received 0"),
        ({"epoch": -1}, "pipeline.epoch must be at least 0, received -1"),
        ({"step": -1}, "pipeline.step must be at least 0, received -1"),
        ({"epochs": 0}, "pipeline.epochs must be at least 1, received 0"),
        ({"workers": 0}, "pipeline.workers must be at least 1, received 0"),
        ({"size": (0, 5)}, r"size must be positive and channels 1 or 3, received \(0, 5\) and 3"),
        ({"channels": 4}, r"size must be positive and channels 1 or 3, received \(16, 24\) and 4"),
        ({"cache": "ram"}, r"pipeline.cache must be auto \| none \| memory \| disk, received 'ram'"),
        ({"crop": [0.5]}, r"pipeline.crop must be two shares of the area, 0 < from <= to <= 1, received \[0.5\]"),
        ({"crop": [0.9, 0.5]}, "pipeline.crop must be two shares"),
        ({"crop": [0.0, 0.5]}, "pipeline.crop must be two shares"),
        ({"crop": [0.5, 1.0], "cache": "memory"}, "pipeline.cache 'memory' cannot keep it. Set pipeline.cache to none"),
        ({"batch_size": 51}, "pipeline.batch_size is 51, but the split has only 50 pictures. Set it to 50 or less"),
    ],
)
def test_settings_out_of_range(split, options, message):
    with pytest.raises(InputError, match=message):
        batches(split, training=True, **options)


def test_an_empty_split(split):
    with pytest.raises(InputError, match="the split holds no pictures"):
        batches(split.take(np.arange(0)))


def test_memory_stays_flat(split):
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    data = iter(batches(split, training=True, cache="none", batch_size=16))
    for _ in range(60):
        next(data)
    before = resident()
    for _ in range(240):  # 3,840 pictures, 280 MB decoded
        next(data)
    assert resident() - before < 40


def run(code):
    script = "import numpy as np, tensorflow as tf, sys\nfrom tfmap import datasets, pipeline\n"
    script += "from tfmap.tasks.classification import prepare\n" + code
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_two_replicas_share_each_batch():
    """On two logical CPU devices: together they see what one device sees."""
    out = run("""
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
split = datasets.load("sample:trash").split("val")
for training in (True, False):
    make = lambda: pipeline.batches(split, size=(8, 8), prepare=prepare, training=training, batch_size=32, epochs=1)
    alone = [batch["label"].numpy() for batch in make()]
    shared = []
    for batch in strategy.experimental_distribute_dataset(make()):
        parts = strategy.experimental_local_results(batch["label"])
        assert [part.shape[0] for part in parts] == [16, 16], parts
        shared.append(np.concatenate(parts))
    np.testing.assert_array_equal(np.concatenate(alone), np.concatenate(shared))
print("same")
""")
    assert out.strip().endswith("same")


@pytest.mark.slow
def test_reading_stays_parallel_with_deterministic_ops():
    """tf.data runs a stage one by one where it finds an op that it does not know to be deterministic."""
    out = run("""
import time
tf.keras.utils.set_random_seed(0)
tf.config.experimental.enable_op_determinism()
split = datasets.load("sample:trash").split("val").take(np.arange(96))
def slow(example, size):
    def wait(x):
        time.sleep(0.1)
        return x
    image = tf.numpy_function(wait, [prepare(example, size)["image"]], tf.uint8, stateful=False)
    return {"image": tf.ensure_shape(image, (*size, 3))}
options = tf.data.Options()
options.threading.private_threadpool_size = 16
data = pipeline.batches(split, size=(8, 8), prepare=slow, batch_size=4, workers=8, cache="none").with_options(options)
steps = iter(data)
next(steps)
start = time.monotonic()
count = sum(4 for _ in steps)
print(count * 0.1 / (time.monotonic() - start))
""")
    assert float(out.split()[-1]) > 3
