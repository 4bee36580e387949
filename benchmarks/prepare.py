"""Making shards and loading them: `python -m benchmarks.prepare FOLDER`.

Class folders -> TFRecord shards, by one process and by two, with the bytes kept and with every picture shrunk to 224
pixels; then the time until `load` has the set, from the shards and from the folder (with its verdicts in the cache, and
without). Each is run three times, in turns; the best counts.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import results
from tfmap import caches, datasets
from tfmap.prepare import prepare

RUNS = 3


def measured(actions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each action, the best of RUNS."""
    best = dict.fromkeys(actions, float("inf"))
    for _ in range(RUNS):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def loaded_anew(folder: str) -> object:
    """Load with an empty cache."""
    shutil.rmtree(caches.folder("scan"), ignore_errors=True)
    return datasets.load(folder)


def size(folder: Path) -> int:
    """Bytes of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(folder: str) -> None:
    """Measure, print, write."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["TFMAP_CACHE"] = f"{name}/cache"
        out, source = Path(name), datasets.load(folder)

        def make(kind: str, **settings: object) -> None:
            shutil.rmtree(out / kind, ignore_errors=True)
            prepare(source, out / kind, shard_mb=2, **settings)

        ways = {
            "shards, 1 process": lambda: make("kept", workers=1),
            "shards, 2 processes": lambda: make("kept", workers=2),
            "shards of 224 px, 1 process": lambda: make("small", max_side=224, workers=1),
            "shards of 224 px, 2 processes": lambda: make("small", max_side=224, workers=2),
            "load the folder, first time": lambda: loaded_anew(folder),
            "load the folder again": lambda: datasets.load(folder),
            "load the shards": lambda: datasets.load(str(out / "kept")),
        }
        rows = [{"what": what, "s": s, "pictures/s": round(len(source) / s)} for what, s in measured(ways).items()]
        sizes = {"folder": size(Path(folder)), "shards": size(out / "kept"), "shards of 224 px": size(out / "small")}
    title = f"{len(source)} pictures of {Path(folder).name}"
    results.write("prepare", title, rows, megabytes={what: round(count / 1e6, 2) for what, count in sizes.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
