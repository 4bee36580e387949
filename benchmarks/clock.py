"""What a picture costs, on the clock and of all cores; imports neither TensorFlow nor PyTorch."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

WARM = 12  # batches before the clock starts: what was read ahead is used up
_TICK = os.sysconf("SC_CLK_TCK")


def timed(batches: Iterator, steps: int, batch_size: int) -> tuple[float, float]:
    """Microseconds of a picture: on the clock, and of all cores."""
    for _ in itertools.islice(batches, WARM):
        pass
    clock, cores = time.perf_counter(), used()
    for _ in itertools.islice(batches, steps):
        pass
    share = steps * batch_size / 1e6
    return (time.perf_counter() - clock) / share, (used() - cores) / share


def used() -> float:
    """CPU seconds of this process and of its living children."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = own.ru_utime + own.ru_stime
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / _TICK
    return total
