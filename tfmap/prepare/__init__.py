"""A source -> TFRecord shards with an index and a manifest, once, so that every later epoch reads long files in order.

    plan      which picture goes in which shard: a function of the source's content and of the settings
    record    one picture -> a tf.train.Example, plain, upright, no larger than asked
    shards    one shard and its index, written whole or not at all
    pool      the shards on the processes of this machine; beam: the same on Apache Beam's runners
    manifest  what makes the folder a data set again

`tfmap.load(DST)` reads it. The shards are ordinary ones: any TensorFlow program can read them too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfmap.checked import checked
from tfmap.errors import InputError

if TYPE_CHECKING:
    from tfmap.prepare.plan import Rows, Settings
    from tfmap.runs import Run
    from tfmap.source import Source

# (shards, folder) -> what `shards.make` returns for each, in any order
Engine = Callable[..., Iterator[dict[str, Any]]]


@checked("prepare")
def prepare(
    source: Source,
    out: str | Path,
    *,
    shard_mb: int = 128,
    max_side: int | None = None,
    encode: Literal["keep", "jpeg", "png"] = "keep",
    quality: int = 92,
    beam: list[str] | None = None,
    workers: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Write a data set as TFRecord shards with an index and a manifest.

    The bytes depend on the pictures and the settings alone, not on the number of workers or on the engine. Run again
    after it was killed, it keeps every shard that is whole and was made from the same; a shard whose pictures have
    changed since is made anew, and shards of another plan are removed.

    Args:
        source: a data set.
        out: a new or an empty folder, or one that holds an earlier state of the same data set.
        shard_mb: megabytes of a shard, before pictures are shrunk or encoded anew.
        max_side: shrink pictures whose longer side has more pixels; boxes and masks follow.
        encode: "keep" leaves plain JPEG and PNG as they are and writes others anew; "jpeg" or "png" writes all anew.
        quality: of JPEG where one is written, 1 to 100.
        beam: options of Apache Beam, such as --runner=FlinkRunner; every worker must see the pictures and `out`.
        workers: processes; by default one per CPU core.
        seed: another seed, another order.

    Returns:
        dict: the manifest.

    Raises:
        InputError: a setting is wrong, or the folder holds something else.
    """
    from tfmap.prepare import manifest, plan

    _check_range(shard_mb=shard_mb, max_side=max_side, quality=quality, workers=workers)
    _check_unused(quality=quality, encode=encode, beam=beam, workers=workers)
    if unknown := set(source.splits) - {"train", "val", "test"}:
        raise InputError(f"prepare: unknown split {sorted(unknown)[0]!r}. Known: train, val, test.")
    if "://" in str(out):
        raise InputError(f"prepare: {out} is a URL, expected a folder. Write to a folder and copy it there.")
    out, settings = Path(out).expanduser().absolute(), plan.Settings(shard_mb, max_side, encode, quality, seed)
    manifest.check_folder(out, source.id)
    with manifest.locked(out):
        manifest.begin(out, source, settings)
        looked, lost = plan.look(source, settings, workers)
        manifest.tidy(out, [name for rows in looked for name in rows.shard_names])
        made = _make(looked, source, settings, out, _engine(beam, workers))
        return manifest.finish(out, source, settings, made, lost)


def command(config: dict[str, Any], run: Run) -> None:
    """`python -m tfmap.prepare SOURCE DST`."""
    from tfmap import datasets

    source = datasets.load(**config["datasets"])
    manifest = prepare(source, run.path, **config["prepare"], seed=config["seed"])
    for name, part in manifest["splits"].items():
        count = len(part["shards"])
        files = f"{count} shard{'s' if count > 1 else ''}, {part['bytes'] / 2**20:.1f} MB"
        sys.stdout.write(f"{name:6}{part['records']:>9,} pictures in {files}\n")
    for path, reason in manifest["skipped"]:
        line = f"left out: {path}: {reason}\n"
        sys.stdout.write(line.encode("utf-8", "backslashreplace").decode())  # a file's name need not be UTF-8
    sys.stdout.write(f"{run.path}: train on it with datasets.source={run.path}\n")


def _check_range(*, shard_mb: int, max_side: int | None, quality: int, workers: int | None) -> None:
    for name, value in (("shard_mb", shard_mb), ("max_side", max_side), ("workers", workers)):
        if value is not None and value < 1:
            raise InputError(f"prepare.{name} must be at least 1, received {value}.")
    if not 1 <= quality <= 100:
        raise InputError(f"prepare.quality must be from 1 to 100, received {quality}.")


def _check_unused(*, quality: int, encode: str, beam: list[str] | None, workers: int | None) -> None:
    if encode == "png" and quality != 92:
        raise InputError("prepare.quality is that of JPEG, but prepare.encode is png. Remove one of them.")
    if beam is not None and workers is not None:
        raise InputError("prepare.workers counts processes of this machine, but prepare.beam is set. Remove one.")


def _engine(beam: list[str] | None, workers: int | None) -> Engine:
    if beam is None:
        from tfmap.prepare import pool

        return partial(pool.run, workers=workers or os.cpu_count() or 1)
    from tfmap.prepare import beam as pipeline

    return partial(pipeline.run, options=beam)


def _make(
    looked: Sequence[Rows], source: Source, settings: Settings, out: Path, engine: Engine
) -> dict[str, list[dict[str, Any]]]:
    """Split -> what `shards.make` returned for each of its shards, in their order."""
    from tfmap.prepare import plan

    shards = (shard for rows in looked for shard in plan.shards(rows, len(source.classes), settings))
    total = sum(len(rows.names) for rows in looked)
    done = {made["shard"]["name"]: made for made in _shown(engine(shards, out), total)}
    return {rows.name: [done[name] for name in rows.shard_names] for rows in looked}


def _shown(made: Iterator[dict[str, Any]], total: int) -> Iterator[dict[str, Any]]:
    from tfmap.progress import bar

    done = 0
    with bar("Writing shards", total) as show:
        for one in made:
            done += one["shard"]["records"] + len(one["skipped"])
            show(done)
            yield one
