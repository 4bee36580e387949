"""Compression under tf.distribute: a process of its own, as devices are fixed once TensorFlow runs."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from keras import layers
from tfmap import runtime
from tfmap.compress import flow, recipe
from tfmap.compress.finetune import FineTuning

class Pictures:
    steps = 3

    def train(self, epoch, step, epochs):
        return tf.data.Dataset.from_tensors(self.batch()).repeat(self.steps * epochs)

    def val(self):
        return tf.data.Dataset.from_tensors(self.batch())

    def batch(self):
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (8, 24, 24, 3)).astype("uint8")
        return {"image": image, "label": np.arange(8, dtype="int32") % 4, "weight": np.ones(8, "float32")}

strategy = runtime.strategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
keras.utils.set_random_seed(0)
with strategy.scope():
    image = keras.Input((24, 24, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(8, 3, use_bias=False)(x)))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x)))
    if "qat" in sys.argv[1]:  # a guest of several ops, and a layer that says nothing, have ranges of their own
        silent = layers.Conv2D(8, 1, activation="relu", bias_initializer=keras.initializers.Constant(-1e2))(x)
        x = layers.LayerNormalization()(layers.Add()([x, silent]))
    x = layers.Conv2D(32, 3, activation="relu", name="wide")(x)
    model = keras.Model(image, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
how = FineTuning(epochs=1, verbose=False, teacher=model)
small = flow.run(model, Pictures(), recipe.parse(sys.argv[1]), how)
kernel = np.asarray((small.model if "qat" in sys.argv[1] else small).get_layer("wide").kernel)
assert np.isfinite(kernel).all()
if "qat" in sys.argv[1]:
    from tfmap.litert import LiteModel
    pictures = Pictures().batch()["image"]
    apart = np.abs(LiteModel(small.to_tflite()).predict(pictures) - small.predict(pictures))
    assert apart.max() < 0.02, apart
if "prune" in sys.argv[1]:
    assert np.mean(kernel == 0) >= 0.5
print("mirrored and done")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps", ["prune(0.5)|cluster(16)|qat", "low_rank(0.5)|distill", "channels(0.7)|prune(0.5)|low_bits"]
)
def test_mirrored_over_two_devices(steps):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, steps], capture_output=True, text=True, env=os.environ, timeout=300
    )
    assert "mirrored and done" in done.stdout, done.stderr[-3000:]
