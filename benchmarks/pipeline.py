"""The input pipeline beside its limit, Keras' loader and PyTorch's: whole pictures, and random resized crops.

    python -m benchmarks.pipeline --folder FOLDER [--rounds 7] [--steps 40] [--cores 2]

Class folders -> batches of 32 at 224 x 224, shuffled, without an end. All take turns, in rounds: every entrant once,
then again, so that a busy moment of the machine meets all of them. The figures are medians for one picture: time on the
clock, and that of all cores together (worker processes too), which other programs disturb less.
A crop is of 0.08 to 1 of the area unless its row says otherwise.
Decoding alone is what any loader must pay: read and decode with TensorFlow's defaults, nothing kept. Keras has no crop
at loading; in its place stands the usual way of tf.data: decode, cut a random part, resize. PyTorch's loader, in a
process of its own, takes part where torch and torchvision are installed. Then: the cost of a picture and the memory
with an index of 1,000 and of 1,000,000 records (the files repeated), and the memory over five epochs.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from benchmarks import results
from benchmarks.clock import timed
from tfmap import datasets, pipeline
from tfmap.source import Split
from tfmap.tasks.classification import prepare

SIZE, BATCH = (224, 224), 32
CROP, LARGE = (0.08, 1.0), (0.3, 1.0)  # shares of the area: Inception's, which torchvision takes too; and a milder one


def main() -> None:
    """Time every entrant, weigh the indices, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, help="class folders of JPEG files")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=40, help="batches of an entrant in a round")
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    split = datasets.load(arguments.folder, val_fraction=0.0).split("train")
    everyone = entrants(split, arguments.folder) | torch_entrants(split)
    rows = compared(race(everyone, arguments.rounds, arguments.steps))
    sizes = [indexed(split, count, arguments.steps) for count in (1000, 1000000)]
    about = {"folder": Path(arguments.folder).name, "pictures": len(split), "batch": BATCH, "size": SIZE, "crop": CROP}
    title = f"Input pipeline, microseconds a picture at {SIZE[0]} x {SIZE[1]}, {arguments.cores} cores"
    results.write("pipeline", title, rows, records=sizes, epochs_mb=epochs(split), **about)
    sys.stdout.write("".join(f"{row}\n" for row in sizes))


def entrants(split: Split, folder: str) -> dict[str, Callable[[int], tuple[float, float]]]:
    """Name -> function (steps) -> microseconds of a picture, on the clock and of all cores."""
    made = {
        "decode alone": lambda: iter(decode_alone(split)),
        "tfmap, whole": lambda: iter(ours(split, cache="none")),
        "keras, whole": lambda: iter(keras_loader(folder)),
        "tfmap, crop": lambda: iter(ours(split, cache="none", crop=list(CROP))),
        "tfmap, crop of 0.3 to 1": lambda: iter(ours(split, cache="none", crop=list(LARGE))),
        "tf.data by hand, crop": lambda: iter(crop_by_hand(split)),
        "tfmap, cache in memory": lambda: iter(ours(split, cache="memory")),
        "tfmap, cache on disk": lambda: iter(ours(split, cache="disk")),
    }
    return {name: partial(_own, start) for name, start in made.items()}


def _own(start: Callable[[], Iterator], steps: int) -> tuple[float, float]:
    return timed(start(), steps, BATCH)


def torch_entrants(split: Split) -> dict[str, Callable[[int], tuple[float, float]]]:
    """PyTorch's loaders, if it is installed."""
    if not all(importlib.util.find_spec(name) for name in ("torch", "torchvision")):
        sys.stdout.write("torch and torchvision are not installed: PyTorch's loader does not take part\n")
        return {}
    return {f"torch DataLoader, {name}": _elsewhere(split, crop) for name, crop in (("whole", None), ("crop", CROP))}


def _elsewhere(split: Split, crop: tuple[float, float] | None) -> Callable[[int], tuple[float, float]]:
    command = [sys.executable, "-m", "benchmarks.torch_loader"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    about = {"paths": split.images.tolist(), "size": SIZE, "batch": BATCH, "crop": crop}

    def answer(line: object) -> tuple[float, float]:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        clock, cores = map(float, process.stdout.readline().split())
        return clock, cores

    process.stdin.write(json.dumps(about) + "\n")
    return answer


def decode_alone(split: Split) -> tf.data.Dataset:
    """Read and decode; of the pixels only their number is kept."""
    return _paths(split).map(lambda path: tf.size(_decoded(path)), tf.data.AUTOTUNE).batch(BATCH)


def keras_loader(folder: str) -> tf.data.Dataset:
    """keras.utils.image_dataset_from_directory."""
    return keras.utils.image_dataset_from_directory(
        folder, image_size=SIZE, batch_size=BATCH, shuffle=True, seed=0, verbose=False
    ).repeat()


def crop_by_hand(split: Split) -> tf.data.Dataset:
    """Decode whole, cut, resize: float32, as most input pipelines have it."""

    def part(path: tf.Tensor) -> tf.Tensor:
        image = _decoded(path)
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image), tf.zeros((1, 0, 4)), area_range=CROP, use_image_if_no_bounding_boxes=True
        )
        return tf.image.resize(tf.slice(image, begin, extent), SIZE)

    return _paths(split).map(part, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)


def ours(split: Split, **options: object) -> tf.data.Dataset:
    """The pipeline of this package."""
    return pipeline.batches(split, size=SIZE, prepare=prepare, training=True, batch_size=BATCH, **options)


def _paths(split: Split) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(split.images.tolist()).shuffle(len(split)).repeat()


def _decoded(path: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_jpeg(tf.io.read_file(path), 3)


def race(entrants: dict[str, Callable[[int], tuple[float, float]]], rounds: int, steps: int) -> dict[str, np.ndarray]:
    """Name -> (rounds, 2): microseconds of a picture on the clock, and of all cores."""
    times: dict[str, list] = {name: [] for name in entrants}
    for _ in range(rounds):
        for name, run in entrants.items():
            times[name].append(run(steps))
            gc.collect()
    return {name: np.array(values) for name, values in times.items()}


def compared(times: dict[str, np.ndarray]) -> list[dict]:
    """A row per entrant: medians, and how many times as fast as the limit and as Keras, by both clocks."""
    middle = {name: np.median(values, axis=0) for name, values in times.items()}
    limit, usual = middle["decode alone"], middle["keras, whole"]
    return [
        {
            "entrant": name,
            "clock us": float(clock),
            "cores us": float(cores),
            "pictures/s": float(1e6 / clock),
            "of decode alone": float(limit[0] / clock),
            "of decode alone, cores": float(limit[1] / cores),
            "of keras": float(usual[0] / clock),
            "of keras, cores": float(usual[1] / cores),
        }
        for name, (clock, cores) in middle.items()
    ]


def indexed(split: Split, count: int, steps: int) -> dict:
    """What a picture costs, and what memory grows by, with an index of `count` records."""
    large = split.take(np.resize(np.arange(len(split)), count))
    before, start = resident(), time.perf_counter()
    batches = iter(ours(large, cache="none"))
    next(batches)
    started = time.perf_counter() - start
    clock, cores = timed(batches, steps, BATCH)
    grown = resident() - before
    return {"records": count, "first batch s": started, "clock us": clock, "cores us": cores, "grown MB": grown}


def epochs(split: Split) -> list[float]:
    """Resident MB after each of five epochs of about 1,200 pictures, cropped."""
    eight = split.take(np.resize(np.arange(len(split)), 8 * len(split)))
    batches = iter(ours(eight, cache="none", crop=list(CROP)))
    each = pipeline.steps_per_epoch(eight, BATCH)
    held = []
    for _ in range(5):
        for _ in itertools.islice(batches, each):
            pass
        held.append(resident())
    return held


def resident() -> float:
    """MB that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
