"""A CSV table of pictures: one row per picture, or per picture and label."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from tfmap.datasets.listing import PARTS, Listing, check_classes, objects
from tfmap.errors import InputError, did_you_mean

Columns = tuple[str, str, str, str]  # path, label, split, separator of labels
Row = tuple[int, str, str, str]  # line number, path, label cell, split cell


def read(file: Path, columns: Columns) -> Listing:
    """List the pictures of a table; a relative path starts at the table's folder.

    A picture has several labels where one cell joins them by the separator, or where its path stands in several rows
    with other labels; then labels are float32 (N, K) for the whole table.

    Raises:
        InputError: a column is missing, a cell is empty, a split is unknown or differs between rows of one picture.
    """
    labels, parts = _gather(file, _rows(file, columns), columns[3])
    classes = check_classes(sorted({name for names in labels.values() for name in names}), f"a label in {file}")
    number = {name: index for index, name in enumerate(classes)}
    many = any(len(names) > 1 for names in labels.values())
    if many:
        values = np.zeros((len(labels), len(classes)), np.float32)
        for row, names in enumerate(labels.values()):
            values[row, [number[name] for name in names]] = 1
    else:
        values = np.array([number[names[0]] for names in labels.values()], np.int32)
    paths = objects([str(file.parent / path) for path in labels])
    return Listing("path", paths, values, paths, objects(list(parts.values())), classes)


def tables(folder: Path, columns: Columns) -> list[Path]:
    """The CSV files in a folder that have the path and the label column."""
    found = sorted(path for path in folder.glob("*.csv") if path.is_file() and not path.name.startswith("."))
    return [path for path in found if {columns[0], columns[1]} <= set(header(path))]


def find(folder: Path, columns: Columns) -> Path:
    """The one table in a folder.

    Raises:
        InputError: there is none, or more than one.
    """
    found = tables(folder, columns)
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise InputError(
            f"datasets: expected one CSV file with columns {columns[0]} and {columns[1]} in {folder}, found {listed}. "
            "Give the CSV file itself as source."
        )
    return found[0]


def header(file: Path) -> list[str]:
    """The names of a table's columns; none if it is no table."""
    try:
        with open(file, newline="", encoding="utf-8-sig") as lines:
            return next(csv.reader(lines), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _rows(file: Path, columns: Columns) -> list[Row]:
    path, label, split, _ = columns
    try:
        with open(file, newline="", encoding="utf-8-sig") as lines:
            table = csv.DictReader(lines)
            check_columns(file, table.fieldnames or [], (path, label))
            return [(table.line_num, row[path] or "", row[label] or "", row.get(split) or "") for row in table]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"datasets: {file} is no CSV text in UTF-8: {error}.") from error


def check_columns(file: Path, present: list[str], wanted: tuple[str, str]) -> None:
    """Check that the columns of the path and of the label are there.

    Raises:
        InputError: one is not.
    """
    for key, name in zip(("path_column", "label_column"), wanted, strict=True):
        if name not in present:
            raise InputError(
                f"datasets: {file} has no column {name!r} (datasets.{key}). Its columns: "
                f"{', '.join(present) or 'none'}.{did_you_mean(name, present)}"
            )


def _gather(file: Path, rows: list[Row], separator: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Path -> labels and path -> part, with the rows of one path joined."""
    labels: dict[str, list[str]] = {}
    parts: dict[str, str] = {}
    for line, path, cell, split in rows:
        names = [name.strip(" \t") for name in (cell.split(separator) if separator else [cell])]
        if not path.strip() or not all(names):
            raise InputError(f"datasets: {file}, line {line}: the path or the label is empty.")
        known = labels.setdefault(path.strip(), [])
        known += [name for name in dict.fromkeys(names) if name not in known]
        part = part_of(file, line, split)
        if parts.setdefault(path.strip(), part) != part:
            raise InputError(f"datasets: {file}, line {line}: {path} stands in two splits.")
    if not labels:
        raise InputError(f"datasets: {file} has no rows.")
    return labels, parts


def part_of(file: Path, line: int, split: str) -> str:
    """The part that a cell of the split column names; "" for an empty one.

    Raises:
        InputError: it names none.
    """
    name = split.strip().lower()
    if name and name not in PARTS:
        raise InputError(f"datasets: {file}, line {line}: unknown split {split!r}. Known: {', '.join(PARTS)}.")
    return PARTS.get(name, "")
