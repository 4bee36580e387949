"""Where tfmap keeps what it can compute again: verdicts on pictures, decoded pixels."""

from __future__ import annotations

import os
from pathlib import Path


def folder(kind: str) -> Path:
    """The folder of one kind of cache: $TFMAP_CACHE, else $XDG_CACHE_HOME/tfmap, else ~/.cache/tfmap."""
    own = os.environ.get("TFMAP_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own or Path(base) / "tfmap") / kind
