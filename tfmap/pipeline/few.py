"""Few pictures, in order and once, without a data set: to build one takes as long as to read some hundred of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tfmap.pipeline.annotations import BLANK
from tfmap.pipeline.fit import AROUND
from tfmap.pipeline.reader import Pictures, Reader
from tfmap.source import Split

Arrays = dict[str, np.ndarray]


def batches(split: Split, read: Reader, batch_size: int, workers: int | None = None) -> Iterator[Arrays]:
    """The batches of evaluation as arrays.

    Args:
        split: N pictures.
        read: of the split.
        batch_size: B.
        workers: pictures read at the same time; by default one per CPU core, at most 16.

    Yields:
        dict: as of `tfmap.pipeline.batches`.
    """
    with ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 16)) as threads:
        made = threads.map(read.one, range(len(split)))
        for start in range(0, len(split), batch_size):
            rows = np.arange(start, start + batch_size)
            yield _batch(split, rows, [next(made) if row < len(split) else None for row in rows], read)


def _batch(split: Split, rows: np.ndarray, made: Sequence[Pictures | None], read: Reader) -> Arrays:
    real, ok = rows < len(split), np.array([one is not None for one in made])
    there = next((one for one in made if one is not None), None) or read.blank()
    blank = {key: np.full(value.shape, BLANK[key], value.dtype.as_numpy_dtype) for key, value in there.items()}
    batch = {key: np.stack([blank[key] if one is None else one[key].numpy() for one in made]) for key in blank}
    batch |= {key: batch[key].astype(np.int32) for key in AROUND.keys() & set(batch)}
    at = np.where(real, rows, 0)
    names = [str(name).encode() if known else b"" for name, known in zip(split.ids[at], real, strict=True)]
    return {**batch, "label": split.labels[at], "weight": ok.astype(np.float32), "id": np.array(names, object)}
