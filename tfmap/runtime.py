"""Seed, devices, distribution strategy, precision, versions: what a run stands on."""

from __future__ import annotations

import os
import platform
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata

import keras
import tensorflow as tf

_PACKAGES = (
    "tensorflow",
    "keras",
    "tf_keras",
    "tensorflow-model-optimization",
    "keras-tuner",
    "ai-edge-litert",
    "numpy",
    "pillow",
)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, and have TensorFlow pick deterministic kernels.

    On CPU one seed gives the same weights again on the same machine. On a GPU the deterministic kernels cost speed and
    a few ops have none; thread count and instruction set still change the last digits between machines.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def strategy(devices: list[str] | None = None) -> tf.distribute.Strategy:
    """The distribution strategy for the devices at hand: mirrored over several GPUs, else the default.

    Args:
        devices: device names such as ["CPU:0", "CPU:1"] to mirror over; default all GPUs.
    """
    devices = devices if devices is not None else [gpu.name for gpu in tf.config.list_logical_devices("GPU")]
    if len(devices) < 2:
        return tf.distribute.get_strategy()
    on_cpu = any("CPU" in device for device in devices)
    # On CPU devices the collective instances of a second model collide ("Shape mismatch in the collective instance").
    reduction = tf.distribute.ReductionToOneDevice() if on_cpu else None
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)


def scope_of(model: keras.Model) -> AbstractContextManager:
    """The scope of the strategy that a model was built under, for making whatever trains it."""
    return model.distribute_strategy.scope() if model.distribute_strategy is not None else nullcontext()


def machine() -> str:
    """System, cores and GPUs, in a line."""
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores, GPUs: {', '.join(gpus) or 'none'}"


def versions() -> dict[str, str]:
    """Name -> version of what a result depends on: packages, Python, machine."""
    found = {package: metadata.version(package) for package in _PACKAGES}
    ours = {"tfmap": metadata.version("tfmap")}
    return {**ours, **found, "python": platform.python_version(), "machine": machine()}
