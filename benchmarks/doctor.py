"""Pictures per second of every check but the near-duplicate join: `python -m benchmarks.doctor FOLDER [COUNT]`.

FOLDER holds class folders of JPEGs; they are repeated COUNT times (default 20), each copy with another comment in it,
so that no two files are equal, and looked at without a cache. Beside it, what Pillow takes to decode them whole.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from PIL import Image

from benchmarks import results
from tfmap.datasets.survey import survey
from tfmap.doctor import boxes, copies, files, labels, masks

RUNS = 3


def repeat(folder: Path, count: int, out: Path) -> int:
    """Class folders of JPEGs that differ in their comment alone; how many."""
    written = 0
    for path in sorted(folder.glob("*/*.jpg")):
        data = path.read_bytes()
        (out / path.parent.name).mkdir(exist_ok=True)
        for number in range(count):
            comment = b"%d" % number  # marker FFFE and its length, behind the two bytes that open a JPEG
            new = data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + data[2:]
            (out / path.parent.name / f"{path.stem}_{number}.jpg").write_bytes(new)
            written += 1
    return written


def checks(folder: str) -> int:
    """Every check but the one for near duplicates; the number of findings."""
    seen = survey(folder)
    found = [*files.check(seen, smallest=32, largest=50, aspect=10), *labels.check(seen)]
    return len([*found, *boxes.check(seen, aspect=10), *masks.check(seen), *copies.exact(seen)])


def decode(folder: str) -> None:
    """Decode each picture whole with Pillow, on all cores."""

    def one(path: Path) -> None:
        with Image.open(path) as image:
            image.load()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, Path(folder).glob("*/*.jpg")))


def main(folder: str, count: str = "20") -> None:
    """Measure, print, write; the best of three runs, the two ways in turn."""
    with tempfile.TemporaryDirectory() as out:
        pictures = repeat(Path(folder), int(count), Path(out))
        best = dict.fromkeys(("doctor, all checks but the join", "Pillow, full decode"), float("inf"))
        for _ in range(RUNS):
            for name, way in zip(best, (checks, decode), strict=True):
                with tempfile.TemporaryDirectory() as cache:
                    os.environ["TFMAP_CACHE"] = cache
                    start = time.perf_counter()
                    way(out)
                    best[name] = min(best[name], time.perf_counter() - start)
    rows = [{"way": name, "pictures": pictures, "pictures/s": pictures / seconds} for name, seconds in best.items()]
    results.write("doctor", "Every picture once", rows, folder=Path(folder).name)


if __name__ == "__main__":
    main(*sys.argv[1:])
