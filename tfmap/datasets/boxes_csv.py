"""A CSV table of boxes: one row per object, with its corners or its corner and sides in pixels.

    path,xmin,ymin,xmax,ymax,label       or x1,y1,x2,y2; columns width and height are the picture's size then
    path,x,y,width,height,label          the upper left corner and the sides

A row with a path and nothing else stands for a picture without objects.
"""

from __future__ import annotations

import csv
from pathlib import Path

from tfmap.datasets import csv_table
from tfmap.datasets.annotations import Annotations, Box, number, side
from tfmap.datasets.csv_table import Columns
from tfmap.datasets.listing import Listing, is_class
from tfmap.errors import InputError

_CORNERS = (("ymin", "xmin", "ymax", "xmax"), ("y1", "x1", "y2", "x2"))
_SIDES = ("y", "x", "height", "width")

Row = dict[str, str]


def matches(file: Path) -> bool:
    """Whether a table has the columns of boxes."""
    return _form(csv_table.header(file)) is not None


def read(file: Path, columns: Columns) -> Listing:
    """List the pictures of a table with their boxes; a relative path starts at the table's folder.

    Class names are sorted.

    Raises:
        InputError: a column is missing, a path is empty, a split is unknown or differs between rows of one picture.
    """
    path, label, split, _ = columns
    rows, form = _rows(file, (path, label))
    classes = sorted({name for _, row in rows if is_class(name := row[label].strip())})
    known = {name: index for index, name in enumerate(classes)}
    found = Annotations()
    for picture, lines in _by_picture(file, rows, path).items():
        part = _part(file, lines, split)
        found.add(file.parent / picture, part, _size(lines[0][1], form))
        for line, row in lines:
            name, written = row[label].strip(), [row[column].strip() for column in form]
            if name in known:
                found.box(_box(written, form), known[name])
            elif name or any(written):
                found.bad(f"{file}, line {line}: {picture}", f"{name!r} cannot be a class name")
    return found.listing(classes, file, unit="pixels")


def _form(header: list[str]) -> tuple[str, ...] | None:
    return next((form for form in (*_CORNERS, _SIDES) if set(form) <= set(header)), None)


def _rows(file: Path, wanted: tuple[str, str]) -> tuple[list[tuple[int, Row]], tuple[str, ...]]:
    """(line number, row) of each, and the columns of its box."""
    try:
        with open(file, newline="", encoding="utf-8-sig") as lines:
            table = csv.DictReader(lines, restval="")
            csv_table.check_columns(file, table.fieldnames or [], wanted)
            form = _form(list(table.fieldnames or []))
            if form is None:
                raise InputError(
                    f"datasets: {file} has no columns of boxes, so datasets.target cannot be boxes. Expected xmin, "
                    f"ymin, xmax, ymax (or x1, y1, x2, y2, or x, y, width, height), found "
                    f"{', '.join(table.fieldnames)}."
                )
            return [(table.line_num, row) for row in table], form
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"datasets: {file} is no CSV text in UTF-8: {error}.") from error


def _by_picture(file: Path, rows: list[tuple[int, Row]], path: str) -> dict[str, list[tuple[int, Row]]]:
    found: dict[str, list[tuple[int, Row]]] = {}
    for line, row in rows:
        if not row[path].strip():
            raise InputError(f"datasets: {file}, line {line}: the path is empty.")
        found.setdefault(row[path].strip(), []).append((line, row))
    return found


def _part(file: Path, lines: list[tuple[int, Row]], split: str) -> str:
    parts = [csv_table.part_of(file, line, row.get(split) or "") for line, row in lines]
    differs = next((line for part, (line, _) in zip(parts, lines, strict=True) if part != parts[0]), None)
    if differs is not None:
        raise InputError(f"datasets: {file}, line {differs}: its picture stands in two splits.")
    return parts[0]


def _size(row: Row, form: tuple[str, ...]) -> tuple[int, int]:
    return (0, 0) if form == _SIDES else (side(row.get("height") or 0), side(row.get("width") or 0))


def _box(written: list[str], form: tuple[str, ...]) -> Box:
    top, left, bottom, right = map(number, written)
    return (top, left, top + bottom, left + right) if form == _SIDES else (top, left, bottom, right)
