"""Where augmentation runs: Keras' JAX backend, replicas, a jitted training step. Each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from tfmap import augment
from tfmap.augment.ops import OPS

EVERYTHING = (
    "rrc(.3)|flip|turn90|rotate(30)|zoom|shear|color(.4)|pick(2, keep, equalise, posterise, autocontrast|solarise)"
    "|maybe(.3, sharpness, blur, jpeg)|noise|salt_pepper|erase(.5)|mix"
)

JAX = f"""
import sys, jax, keras, numpy as np
from tfmap import augment
assert keras.backend.backend() == "jax"
policy = augment.build("{EVERYTHING}", classes=4)
image = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype="uint8")
batch = {{"image": image, "label": np.arange(4, dtype="int32"), "weight": np.ones(4, "float32")}}
eager = policy(batch, (3, 14))
jitted = jax.jit(policy)(batch, np.array([3, 14], "uint32"))
other = policy(batch, (3, 15))
difference = np.abs(np.asarray(eager["image"], "int32") - np.asarray(jitted["image"]))
assert difference.max() <= 1 and (difference > 0).mean() < 0.01, difference.max()
assert np.abs(np.asarray(eager["image"], "int32") - np.asarray(other["image"])).mean() > 1
assert np.asarray(eager["image"]).dtype == "uint8"
np.testing.assert_allclose(np.sum(eager["label"], axis=1), 1, atol=1e-6)
assert "tensorflow" not in sys.modules
"""

# every op of the registry, as TensorFlow showed it
ALL_OPS = """
import sys, jax, keras, numpy as np
from tfmap import augment
assert keras.backend.backend() == "jax"
shown = dict(np.load(sys.argv[1]))
batch = {"image": shown.pop("image"), "label": np.arange(4, dtype="int32")}
masked = {**batch, "mask": shown.pop("mask")}
for ops, expected in shown.items():
    given = masked if ops == "copy_paste" else batch
    ours = np.asarray(jax.jit(augment.build(ops, classes=4))(given, np.array([3, 14], "uint32"))["image"])
    apart = np.abs(ours.astype("int32") - expected)
    # compilers round the last bit of a float their own way: steps of tones and JPEG make more than one grey value of it
    assert (apart > 1).mean() <= 0.01, (ops, apart.max(), (apart > 1).mean())
    assert (apart > 0).mean() <= 0.02, (ops, apart.max(), (apart > 0).mean())
assert "tensorflow" not in sys.modules
print(len(shown))
"""

REPLICAS = f"""
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tfmap import augment
policy = augment.build("{EVERYTHING}", classes=4)
image = np.random.default_rng(0).integers(0, 256, (8, 32, 48, 3), dtype="uint8")
image[4:] = image[:4]
batch = {{"image": image, "label": np.arange(8, dtype="int32") % 4}}
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())

@tf.function
def step(batch):
    def replica(part):
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        return policy(part, (3, 14 + number))
    return strategy.run(replica, args=(batch,))

data = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensors(batch).unbatch().batch(8))
halves = strategy.experimental_local_results(step(next(iter(data)))["image"])
for number, half in enumerate(halves):
    alone = policy({{key: value[:4] for key, value in batch.items()}}, (3, 14 + number))["image"]
    np.testing.assert_array_equal(half, alone)
assert np.abs(halves[0].numpy().astype("int32") - halves[1].numpy()).mean() > 1
"""

TRAINING = f"""
import numpy as np, tensorflow as tf, keras
from tfmap import augment

class Augmented(keras.Model):
    def train_step(self, data):
        image, label = data
        new = self.policy({{"image": image, "label": label}}, (0, self.optimizer.iterations))
        return super().train_step((new["image"], new["label"]))

image = np.random.default_rng(0).integers(0, 256, (16, 32, 48, 3), dtype="uint8")
label = np.arange(16, dtype="int32") % 4
for jit in (False, True):
    entry = keras.Input((32, 48, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(entry))
    model = Augmented(entry, keras.layers.Dense(4, activation="softmax")(pooled))
    model.policy = augment.build("{EVERYTHING}", classes=4)
    model.compile("sgd", "categorical_crossentropy", jit_compile=jit)
    loss = model.fit(image, label, batch_size=8, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    assert model.jit_compile is jit  # Keras drops it without a word where a layer refuses XLA
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
    return done.stdout


@pytest.mark.slow
def test_jax_backend_eager_and_jitted():

    run(JAX, KERAS_BACKEND="jax")


@pytest.mark.slow
def test_every_op_shows_the_same_on_jax_as_on_tensorflow(photos, tmp_path):
    image = photos[0][:32:8, :40]
    batch = {"image": image, "label": np.arange(4, dtype="int32")}
    examples = [f"{name}(flip, hue(.3), posterise)" if op.takes_policies else name for name, op in OPS.items()]
    masked = {**batch, "mask": (image[..., 0] > 150).astype("int32")}
    shown = {}
    for ops in examples:
        given = masked if ops == "copy_paste" else batch
        shown[ops] = np.asarray(augment.build(ops, classes=4)(given, (3, 14))["image"])
    np.savez(tmp_path / "shown.npz", image=image, mask=masked["mask"], **shown)
    assert int(run(ALL_OPS, str(tmp_path / "shown.npz"), KERAS_BACKEND="jax")) == len(OPS)


@pytest.mark.slow
def test_two_replicas_draw_their_own_numbers():
    run(REPLICAS)


@pytest.mark.slow
def test_a_training_step_with_and_without_xla():
    run(TRAINING)
