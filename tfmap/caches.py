"""Where tfmap keeps what it can compute again: verdicts on pictures, decoded pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def folder(kind: str) -> Path:
    """The folder of one kind of cache: $TFMAP_CACHE, else $XDG_CACHE_HOME/tfmap, else ~/.cache/tfmap."""
    own = os.environ.get("TFMAP_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own or Path(base) / "tfmap") / kind


@contextmanager
def locked(folder: Path, wait: bool) -> Iterator[None]:
    """Have a folder for oneself; it is made if need be. The lock ends with the process, however that ends.

    On Windows, which has no such locks on folders, nothing is locked.

    Args:
        folder: any folder.
        wait: until it is free.

    Raises:
        BlockingIOError: another process has it, and `wait` is false.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)
