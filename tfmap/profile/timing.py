"""A clock around steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf

# Steps before the clock starts: graphs are built, and what was read ahead meanwhile is used up.
WARM = 8


def step_ms(step: Callable[[], Any], steps: int) -> float:
    """Mean milliseconds of a step; whatever was sent to a device is waited for."""
    for _ in range(WARM):
        step()
    _wait()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    _wait()
    return (time.perf_counter() - start) / steps * 1e3


def batch_ms(batches: Iterable, steps: int) -> float:
    """Mean milliseconds until the next element of a data set that does not end."""
    elements = iter(batches)
    return step_ms(lambda: next(elements), steps)


def _wait() -> None:
    if tf.config.list_logical_devices("GPU"):
        tf.test.experimental.sync_devices()
