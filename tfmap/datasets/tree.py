"""What lies in a folder: names in order, hidden ones left out, loops of links survived."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tfmap.datasets.listing import PARTS
from tfmap.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".ppm", ".pgm", ".jp2")


def visible(folder: Path) -> list[os.DirEntry]:
    """The entries of a folder by name, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder; a link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def folders(folder: Path) -> Iterator[Path]:
    """The folders in a folder."""
    return (Path(entry.path) for entry in visible(folder) if is_folder(entry))


def files(folder: Path, *suffixes: str) -> list[Path]:
    """The files in a folder whose names end in one of `suffixes`, in lower case."""
    entries = [entry for entry in visible(folder) if entry.name.lower().endswith(suffixes)]
    return [Path(entry.path) for entry in entries if not is_folder(entry)]


def pictures(folder: Path) -> list[Path]:
    """The files in a folder that are named like pictures."""
    return files(folder, *SUFFIXES)


def below(folder: Path) -> list[Path]:
    """The pictures in a folder and in the folders below it; links to folders are not followed."""
    found, left = [], [folder]
    while left:  # no recursion: folders may be nested deeper than Python's stack
        here = left.pop()
        found += pictures(here)
        inner = [Path(entry.path) for entry in visible(here) if is_folder(entry) and not entry.is_symlink()]
        left += reversed(inner)
    return found


def child(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The first folder inside that has one of these names, in whatever case."""
    return next((path for path in folders(folder) if path.name.lower() in names), None) if folder.is_dir() else None


def parts(folder: Path) -> list[tuple[str, Path]]:
    """(part, its folder) of the folders inside that are named like parts."""
    return [(PARTS[path.name.lower()], path) for path in folders(folder) if path.name.lower() in PARTS]


def holds(folder: Path, *suffixes: str) -> bool:
    """Whether a folder has a file whose name ends in one of `suffixes`, without listing all of it."""
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(suffixes) and not entry.name.startswith(".") for entry in entries)


def prepared(folder: Path) -> bool:
    """Whether TensorFlow Datasets has prepared a folder."""
    return all((folder / name).is_file() for name in ("dataset_info.json", "features.json"))


def class_names(folder: Path, *names: str) -> list[str] | None:
    """The lines of the first of these files, or None where there is none.

    Raises:
        InputError: it is no text in UTF-8.
    """
    file = next((folder / name for name in names if (folder / name).is_file()), None)
    return None if file is None else [line for line in read_text(file).splitlines() if line.strip()]


def read_text(file: Path) -> str:
    """A text file.

    Raises:
        InputError: it is no file, or no text in UTF-8.
    """
    if not file.is_file():  # opening a pipe would wait for ever
        raise InputError(f"datasets: {file} is no file.")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"datasets: {file} is no text in UTF-8: {error.reason} at byte {error.start}.") from error
