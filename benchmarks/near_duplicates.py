"""A million perceptual hashes joined: seconds, memory, and whether every planted pair is found. No data needed.

`python -m benchmarks.near_duplicates [COUNT]`. Synthetic hashes: uniform, with planted copies at every distance up to
the limit, and 100,000 equal ones (all-black pictures). Each distance runs in a process of its own, for its peak memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np

from benchmarks import results
from tfmap.doctor import near

DISTANCES = (4, 6, 8)
PLANTED = 1000  # pairs at each distance


def synthetic(count: int, distance: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """uint64 (count,) hashes and uint64 (P, 2) planted pairs among them."""
    draw = np.random.default_rng(seed)
    hashes = draw.integers(0, 2**64, count, np.uint64)
    hashes[: count // 10] = 2**63
    origins = hashes[count // 10 : count // 10 + PLANTED * distance]
    for row, origin in enumerate(origins):
        flips = draw.choice(64, 1 + row // PLANTED, replace=False)
        hashes[-1 - row] = origin ^ np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64))
    return hashes, np.stack([origins, hashes[: -1 - len(origins) : -1]], 1)


def measure(count: int, distance: int) -> dict:
    """One join, in this process."""
    hashes, planted = synthetic(count, distance)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    unique, member_of = np.unique(hashes, return_inverse=True)
    pairs = near.join(unique, distance)
    groups = near.groups(pairs, len(unique))
    seconds = time.perf_counter() - start
    found = set(map(tuple, np.sort(unique[pairs], axis=1).tolist()))
    hit = sum(tuple(pair) in found for pair in np.sort(planted, axis=1).tolist())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "hashes": len(member_of),
        "distance": distance,
        "seconds": round(seconds, 1),
        "peak MB": peak >> 10,
        "of it before": before >> 10,
        "pairs": len(pairs),
        "groups": len(groups),
        "planted found": f"{hit} of {len(planted)}",
    }


def main(count: str = "1000000", distance: str | None = None) -> None:
    """Measure, print, write; with a distance, one row as JSON."""
    if distance is not None:
        sys.stdout.write(json.dumps(measure(int(count), int(distance))) + "\n")
        return
    command = [sys.executable, "-m", "benchmarks.near_duplicates", count]
    rows = [json.loads(subprocess.check_output([*command, str(each)])) for each in DISTANCES]
    results.write("near_duplicates", f"Near-duplicate join of {int(count):,} hashes of 64 bits", rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
