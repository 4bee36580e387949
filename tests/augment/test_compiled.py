"""Work on the pictures that ask for it: one by one on CPUs, the whole batch at once elsewhere."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmap import augment
from tfmap.augment.compiled import compiled, for_each

VALUES = np.arange(12, dtype="float32").reshape(6, 2)
FACTORS = np.arange(6, dtype="float32")
ASKED = np.array([True, False, True, True, False, False])


def worked(active):
    return np.asarray(for_each(active, lambda value, factor: value * factor[:, None] + 1, VALUES, FACTORS))


@pytest.mark.parametrize("devices", [["cpu:0"], ["cpu:0", "gpu:0"]])
def test_those_that_do_not_ask_stay(devices, monkeypatch):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: devices)
    every = VALUES * FACTORS[:, None] + 1
    np.testing.assert_array_equal(worked(None), every)
    np.testing.assert_array_equal(worked(ASKED), np.where(ASKED[:, None], every, VALUES))
    np.testing.assert_array_equal(worked(np.zeros(6, bool)), VALUES)


def test_a_policy_shows_the_same_one_by_one_and_all_at_once(monkeypatch, batch):
    """No accelerator is at hand: its way of cutting up the work runs on the CPU."""
    ops = "pick(2, equalise, sharpness)"
    one_by_one = np.asarray(augment.build(ops)(batch, (0, 1))["image"], int)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"])
    at_once = np.asarray(augment.build(ops)(batch, (0, 1))["image"], int)
    assert (np.abs(one_by_one - at_once) > 1).mean() < 0.01


def test_who_asks_is_no_constant_of_the_program():
    """TensorFlow takes the arguments of some ops (ops.slice) for constants and compiles anew for every seed."""

    @compiled
    def run(values, asked):
        return for_each(asked, lambda value: value + 1, values)

    program = run.experimental_get_compiler_ir(tf.constant(VALUES), tf.constant(ASKED))(stage="hlo")
    assert "pred[6]{0} parameter(" in program
