"""Class folders: `folder/<class>/*`, or `folder/train|val|test/<class>/*`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfmap.datasets import tree
from tfmap.datasets.listing import PARTS, Listing, check_classes, objects
from tfmap.errors import InputError
from tfmap.source import Skipped


def read(folder: Path) -> Listing:
    """List the pictures of class folders.

    Hidden files are ignored. Every other file in a class folder counts as a picture until it fails to open. Folders
    inside class folders are not searched; they and pictures outside class folders are listed in `skipped`.

    An empty class folder is a fault of the listing.

    Raises:
        InputError: no class folders, none with a picture, or names that are half parts and half classes.
    """
    rows: list[tuple[str, str, str]] = []  # part, class, path
    skipped: list[Skipped] = []
    faults: list[str] = []
    for part, root in _parts(folder):
        rows += _classes(part, root, skipped, faults)
    if not rows:
        raise InputError(
            *faults[:1] or [f"datasets: {folder} has no class folders: {_expected()}. It holds {_contents(folder)}."]
        )
    classes = check_classes(sorted({name for _, name, _ in rows}), f"a folder in {folder}")
    number = {name: index for index, name in enumerate(classes)}
    paths = objects([path for _, _, path in rows])
    labels = np.array([number[name] for _, name, _ in rows], np.int32)
    parts = objects([part for part, _, _ in rows])
    return Listing("path", paths, labels, paths, parts, classes, tuple(skipped), faults=tuple(faults))


def matches(folder: Path) -> bool:
    """Whether there is at least one visible folder inside."""
    return any(tree.folders(folder))


def _parts(folder: Path) -> list[tuple[str, Path]]:
    """(part, its folder) where the folder is cut in train, val and test, else one ("", folder)."""
    inside = list(tree.folders(folder))
    cut = [path for path in inside if path.name.lower() in PARTS and any(tree.folders(path))]
    if not cut:
        return [("", folder)]
    if len(cut) < len(inside):
        others = ", ".join(path.name for path in inside if path not in cut)
        raise InputError(
            f"datasets: {folder} can be read in two ways: as parts ({', '.join(path.name for path in cut)}) or as "
            f"classes, because it also holds {others}. Move one kind away."
        )
    names = [PARTS[path.name.lower()] for path in cut]
    if len(set(names)) < len(names):
        raise InputError(f"datasets: {folder} names one part twice: {', '.join(path.name for path in cut)}. Keep one.")
    return list(zip(names, cut, strict=True))


def _classes(part: str, root: Path, skipped: list[Skipped], faults: list[str]) -> Iterator[tuple[str, str, str]]:
    skipped += [
        Skipped(entry.path, "lies outside the class folders")
        for entry in tree.visible(root)
        if entry.name.lower().endswith(tree.SUFFIXES) and not tree.is_folder(entry)
    ]
    for folder in tree.folders(root):
        entries = list(tree.visible(folder))
        files = [entry.path for entry in entries if not tree.is_folder(entry)]
        if not files:
            what = f"only {_contents(folder)}" if entries else "it is empty"
            faults.append(
                f"datasets: class folder {folder} holds no pictures, {what}. Add pictures to it or remove it."
            )
        inner = [entry.path for entry in entries if tree.is_folder(entry)]
        skipped += [Skipped(path, "is a folder inside a class folder; it was not searched") for path in inner]
        yield from ((part, folder.name, path) for path in files)


def _contents(folder: Path) -> str:
    names = [entry.name for entry in tree.visible(folder)]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) + more) or "nothing"


def _expected() -> str:
    return "expected folder/<class>/<picture>, or the same below train, val and test"
