"""Moving boxes and masks on Keras' JAX backend and in replicas, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

EVERYTHING = "rrc(.3)|flip|rotate(30)|perspective|elastic|erase(.5)|copy_paste|mosaic|mix"

BATCH = """
import numpy as np
dice = np.random.default_rng(0)
image = dice.integers(0, 256, (4, 32, 48, 3), dtype="uint8")
corner = dice.uniform(0, 20, (4, 3, 2))
boxes = np.concatenate([corner, corner + 10], axis=-1).astype("float32")
classes = dice.integers(-1, 3, (4, 3)).astype("int32")
boxes[classes < 0] = 0
mask = dice.integers(0, 3, (4, 32, 48)).astype("int32")
batch = {"image": image, "boxes": boxes, "classes": classes, "mask": mask, "weight": np.ones(4, "float32")}
"""

RESULT = f"""
{BATCH}
import sys
from tfmap import augment
new = augment.build("{EVERYTHING}")(batch, (3, 14))
np.savez(sys.argv[1], **{{key: np.asarray(value) for key, value in new.items()}})
"""

JITTED = f"""
{BATCH}
import sys, jax, keras
from tfmap import augment
assert keras.backend.backend() == "jax"
policy = augment.build("{EVERYTHING}")
eager, jitted = policy(batch, (3, 14)), jax.jit(policy)(batch, np.array([3, 14], "uint32"))
np.testing.assert_allclose(eager["boxes"], jitted["boxes"], atol=1e-2)
np.testing.assert_array_equal(eager["classes"], jitted["classes"])
assert np.mean(np.asarray(eager["mask"]) != np.asarray(jitted["mask"])) < 0.01
assert "tensorflow" not in sys.modules
"""

REPLICAS = f"""
{BATCH}
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tfmap import augment
policy = augment.build("{EVERYTHING}")
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
twice = {{key: np.concatenate([value, value]) for key, value in batch.items()}}

@tf.function
def step(batch):
    def replica(part):
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        return policy(part, (3, 14 + number))
    return strategy.run(replica, args=(batch,))

data = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensors(twice).unbatch().batch(8))
made = step(next(iter(data)))
for key in ("boxes", "classes", "mask"):
    first, second = strategy.experimental_local_results(made[key])
    for number, half in enumerate((first, second)):
        np.testing.assert_array_equal(half, policy(batch, (3, 14 + number))[key])
    assert np.any(first.numpy() != second.numpy())
"""


def run(code, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_jax_moves_targets_as_tensorflow_does(tmp_path):
    import numpy as np

    run(JITTED, KERAS_BACKEND="jax")
    for backend in ("jax", "tensorflow"):
        run(RESULT, str(tmp_path / f"{backend}.npz"), KERAS_BACKEND=backend)
    jax, tensorflow = (np.load(tmp_path / f"{backend}.npz") for backend in ("jax", "tensorflow"))
    assert set(jax) == set(tensorflow) == {"image", "boxes", "classes", "mask", "weight"}
    for key in jax:
        assert jax[key].shape == tensorflow[key].shape, key
        assert jax[key].dtype == tensorflow[key].dtype, key


@pytest.mark.slow
def test_two_replicas_move_their_targets_by_their_own_draws():
    run(REPLICAS)
