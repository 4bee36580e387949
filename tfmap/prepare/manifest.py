"""The folder of a prepared data set: what may stand in it, and the manifest that makes it whole."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfmap import caches
from tfmap.datasets.records import FORMAT, MANIFEST, SCHEMA
from tfmap.errors import InputError
from tfmap.prepare.plan import Settings
from tfmap.runs import replacing
from tfmap.source import Skipped, Source

_OURS = re.compile(r"(train|val|test)-\d{5,}-of-\d{5,}\.(tfrecord|npz)")


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Have the folder for oneself.

    Raises:
        InputError: another process is writing there.
    """
    try:
        with caches.locked(out, wait=False):
            yield
    except BlockingIOError:
        raise InputError(f"prepare: another process is writing to {out}. Wait until it has ended.") from None


def check_folder(out: Path, source: str) -> None:
    """Refuse a folder that holds anything but an earlier state of this data set.

    Raises:
        InputError: it is a file, lies inside the source, or holds other files or the records of another source.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"prepare: {out} is a file, expected a new or an empty folder.")
    if Path(source).is_dir() and out.resolve().is_relative_to(Path(source).resolve()):
        raise InputError(f"prepare: {out} lies inside the source, which would then hold itself. Give another folder.")
    others = [path.name for path in _entries(out) if not _is_ours(path)]
    if others:
        raise InputError(f"prepare: {out} holds other files, such as {others[0]}. Give a new or an empty folder.")
    held = _read(out)
    if held and (held.get("format") != FORMAT or held.get("source") != source):
        raise InputError(
            f"prepare: {out} holds the records of another source, {held.get('source')!r}. Give another folder, or "
            "remove that one."
        )


def begin(out: Path, source: Source, settings: Settings) -> None:
    """Mark the folder as unfinished, so that nobody takes what is in it for the whole."""
    _write(out, {**_head(source, settings), "finished": False})


def tidy(out: Path, names: Iterable[str]) -> None:
    """Remove the shards of another plan, and what a killed process left half written."""
    wanted = {f"{name}{suffix}" for name in names for suffix in (".tfrecord", ".npz")}
    for path in _entries(out):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in wanted and _OURS.fullmatch(path.name):
            path.unlink()


def finish(
    out: Path,
    source: Source,
    settings: Settings,
    made: Mapping[str, Sequence[dict[str, Any]]],
    lost: Sequence[Skipped],
) -> dict[str, Any]:
    """Write the manifest: the last file, which makes the set whole.

    Args:
        out: the folder.
        source: what was prepared.
        settings: of the plan and of the pictures.
        made: split -> what `shards.make` returned for its shards, in their order.
        lost: pictures that could not be read any more.

    Returns:
        the manifest.

    Raises:
        InputError: nothing is left of a split.
    """
    left_out = [Skipped(*one) for shards in made.values() for shard in shards for one in shard["skipped"]]
    skipped = [*source.skipped, *lost, *left_out]
    manifest = {
        **_head(source, settings),
        "finished": True,
        "splits": {name: _split(shards, source.classes) for name, shards in made.items()},
        "skipped": [[one.path, one.reason] for one in skipped],
    }
    for name, part in manifest["splits"].items():
        if not part["records"]:
            raise InputError(f"prepare: no picture of {name} can be read any more. {_first(skipped)}")
    _write(out, manifest)
    return manifest


def _first(skipped: Sequence[Skipped]) -> str:
    return f"The first: {skipped[0].path} {skipped[0].reason}."


def _head(source: Source, settings: Settings) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "source": source.id,
        "target": source.target,
        "multi_label": source.multi_label,
        "classes": list(source.classes),
        "settings": asdict(settings),
    }


def _split(shards: Sequence[dict[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    counts = [sum(column) for column in zip(*(shard["counts"] for shard in shards), strict=True)]
    lines = [shard["shard"] for shard in shards]
    return {
        "records": sum(line["records"] for line in lines),
        "bytes": sum(line["bytes"] for line in lines),
        "counts": dict(zip(classes, counts, strict=True)),
        "shards": lines,
    }


def _write(out: Path, manifest: dict[str, Any]) -> None:
    with replacing(out / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _read(out: Path) -> dict[str, Any]:
    try:
        held = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        return {"source": "(its manifest.json is damaged)"}
    return held if isinstance(held, dict) else {"source": "(its manifest.json is not ours)"}


def _entries(out: Path) -> list[Path]:
    return sorted(out.iterdir()) if out.is_dir() else []


def _is_ours(path: Path) -> bool:
    name = path.name
    # replacing() writes into folders named .<file>.<random>
    half = name.startswith(".") and path.is_dir() and bool(_OURS.match(name[1:]) or name.startswith(f".{MANIFEST}."))
    return half or name == MANIFEST or bool(_OURS.fullmatch(name))
