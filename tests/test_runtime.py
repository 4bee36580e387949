"""Seed, devices, versions."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfmap import runtime


def test_one_device_needs_no_mirrors():
    assert runtime.strategy().num_replicas_in_sync == 1
    assert not isinstance(runtime.strategy(), tf.distribute.MirroredStrategy)


def test_versions_name_every_package_and_the_machine():
    found = runtime.versions()
    assert {"tfmap", "tensorflow", "keras", "ai-edge-litert", "python", "machine"} <= set(found)
    assert found["keras"] == keras.__version__
    assert "CPU cores" in found["machine"]


def test_the_scope_of_a_model_is_the_one_it_was_built_in():
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with runtime.scope_of(model):
        assert tf.distribute.get_strategy() is strategy
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with runtime.scope_of(plain):
        assert not tf.distribute.has_strategy()
