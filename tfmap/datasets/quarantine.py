"""A list of pictures to leave out: one path a line, `#` starts a comment; the doctor writes such lists."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tfmap.datasets import tree
from tfmap.datasets.listing import Listing
from tfmap.errors import InputError
from tfmap.source import Skipped

MISSING = "excluded but not there"


def read(file: Path) -> list[str]:
    """The entries of a list.

    Raises:
        InputError: there is no such file, or it is no text in UTF-8.
    """
    if not file.is_file():
        raise InputError(f"datasets.exclude: {file} is no file. Expected a text file with one path a line.")
    lines = [line.strip() for line in tree.read_text(file).splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def apply(listing: Listing, root: Path, exclude: str) -> Listing:
    """The listing without the pictures that a list names, by their ids or by paths relative to the source's folder.

    Pictures left out are listed in `skipped`, entries that name none in the findings.
    """
    entries = read(Path(exclude).expanduser())
    known = _names(listing.ids, root)
    named = [_find(known, entry) for entry in entries]
    gone = np.zeros(len(listing), bool)
    gone[[index for found in named for index in found or ()]] = True
    missing = tuple(entry for entry, found in zip(entries, named, strict=True) if not found)
    skipped = tuple(Skipped(name, f"excluded by {exclude}") for name in listing.ids[gone])
    findings = {**listing.findings, **({MISSING: missing} if missing else {})}
    kept = listing.take(np.flatnonzero(~gone))
    return replace(kept, skipped=(*listing.skipped, *skipped), findings=findings)


def _find(known: dict[str, list[int]], entry: str) -> list[int]:
    """The pictures that an entry names, whole or up to a comment (a file's name may hold " #" too)."""
    ways = (entry, entry.split(" #")[0].strip())
    return next((known[way] for way in (*ways, *map(os.path.normpath, ways)) if way in known), [])


def _names(ids: Sequence[str], root: Path) -> dict[str, list[int]]:
    """Every way to write a picture -> its places."""
    start = str(root if root.is_dir() else root.parent) + os.sep
    names: dict[str, list[int]] = {}
    for index, name in enumerate(ids):
        for written in {name, name.removeprefix(start)}:
            names.setdefault(written, []).append(index)
    return names
