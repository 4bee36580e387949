"""YOLO: a text file for each picture, one object a line in shares of the picture's sides.

    data.yaml  images/train/a.jpg  labels/train/a.txt     or train/images/ and train/labels/
    classes.txt  images/a.jpg  labels/a.txt               or a.jpg and a.txt side by side

A line is `class x y width height` (centre and sides) or an outline `class x y x y x y ...`. The label file of
.../images/.../a.jpg is .../labels/.../a.txt, else it lies beside the picture; a picture without one has no objects.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from tfmap.datasets import tree
from tfmap.datasets.annotations import Annotations, number
from tfmap.datasets.listing import Listing, Target, distinct_classes
from tfmap.datasets.polygons import segment
from tfmap.errors import InputError

UNLABELLED = "without label file, so without objects"

_YAML = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_CLASS_FILES = ("classes.txt", "obj.names", "labels.txt")
_LARGEST = 1 << 26  # bytes of a label file
_HIGHEST = 10_000  # number of a class; a typo of 10^9 would make a list of so many names

Part = tuple[str, list[Path], list[Path]]  # name, pictures, folders that were searched


def matches(path: Path) -> bool:
    """Whether a folder has YOLO's data.yaml or classes.txt with label files, or a file is a data.yaml."""
    if path.is_file():
        return path.suffix.lower() in (".yaml", ".yml")
    return _yaml(path) is not None or (_named(path) is not None and any(map(_has_labels, _roots(path))))


def read(path: Path, target: Target | None = None) -> Listing:
    """List pictures and the boxes of their label files (an outline becomes the box around it), their masks, or both.

    Raises:
        InputError: no data.yaml or classes.txt, a data.yaml that is wrong, or no outlines where masks are wanted.
    """
    file = path if path.is_file() else _yaml(path)
    classes, parts = _described(file) if file else _undescribed(path)
    found = Annotations()
    distinct_classes(list(classes.values()), str(file or path))
    place = {number: index for index, number in enumerate(classes)}
    for part, pictures, folders in parts:
        for picture in pictures:
            _add(picture, part, place, target, found)
        for folder in sorted({*folders, *(picture.parent for picture in pictures)}):
            _skip_orphans(folder, found)
    return found.listing(list(classes.values()), path, target=target or "boxes", unit="share")


def _yaml(folder: Path) -> Path | None:
    return next((folder / name for name in _YAML if (folder / name).is_file()), None)


def _named(folder: Path) -> list[str] | None:
    return tree.class_names(folder, *_CLASS_FILES)


def _described(file: Path) -> tuple[dict[int, str], list[Part]]:
    """Classes by number and pictures by part, as a data.yaml says."""
    try:
        content = yaml.safe_load(tree.read_text(file))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"datasets: {file} is no YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict) or not content.get("train"):
        raise InputError(f"datasets: {file} is no data.yaml of YOLO: it needs train (folders of pictures) and names.")
    listed = [(part, content.get(part)) for part in ("train", "val", "test")]
    parts = [(part, *_pictures(file, content, part, entry)) for part, entry in listed if entry]
    # One part alone does not say how to cut the data; that is what "" means.
    return _classes(file, content), parts if len(parts) > 1 else [("", *parts[0][1:])]


def _classes(file: Path, content: dict[str, Any]) -> dict[int, str]:
    names, count = content.get("names"), content.get("nc")
    if names is None and type(count) is int and 0 < count <= _HIGHEST:
        names = [str(index) for index in range(count)]
    pairs = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else ()
    plain = [(key, str(name)) for key, name in pairs if isinstance(name, str | int | float) and type(key) is int]
    classes = {key: name for key, name in plain if 0 <= key <= _HIGHEST}
    if not classes or len(classes) < len(names):
        raise InputError(f"datasets: {file} needs names: a list of words, or numbers from 0 to {_HIGHEST} and words.")
    return dict(sorted(classes.items()))


def _pictures(file: Path, content: dict[str, Any], part: str, entry: Any) -> tuple[list[Path], list[Path]]:
    """The pictures of folders or of lists of files, and these folders."""
    found: list[Path] = []
    folders: list[Path] = []
    for name in entry if isinstance(entry, list) else [entry]:
        place = _resolve(file, content.get("path"), name)
        if place is None:
            raise InputError(f"datasets: {file}: {part} is {name!r}, which is not there.")
        found += tree.below(place) if place.is_dir() else _listed(place)
        folders += [place] if place.is_dir() else []
    return found, folders


def _resolve(file: Path, base: Any, name: Any) -> Path | None:
    """A path of a data.yaml: below `path`, else beside the file, also where an export says ../ too much."""
    if not isinstance(name, str):
        return None
    homes = [file.parent / base if isinstance(base, str) else file.parent, file.parent]
    ways = [os.path.normpath(home / way) for home in homes for way in (name, name.removeprefix("../"))]
    return next((Path(way) for way in ways if os.path.exists(way)), None)


def _listed(file: Path) -> list[Path]:
    lines = [line.strip() for line in tree.read_text(file).splitlines()]
    return [file.parent / line for line in lines if line]


def _undescribed(folder: Path) -> tuple[dict[int, str], list[Part]]:
    """Classes by classes.txt, pictures by what lies there."""
    names = _named(folder)
    if names is None:
        raise InputError(
            f"datasets: {folder} is no YOLO data set: expected data.yaml (train, val, names) or classes.txt."
        )
    roots = _roots(folder)
    cut = [(part, path) for root in roots for part, path in tree.parts(root)]
    parts = [(part, tree.below(path), [path]) for part, path in cut or [("", root) for root in roots]]
    return {index: name.strip() for index, name in enumerate(names)}, parts


def _roots(folder: Path) -> list[Path]:
    """Where pictures may lie: images/, or the folder itself."""
    return [tree.child(folder, ("images",)) or folder]


def _has_labels(root: Path) -> bool:
    """Whether one of the first pictures has a label file."""
    return any(_label_file(picture).is_file() for picture in tree.below(root)[:100])


def _label_file(picture: Path) -> Path:
    name = f"{os.curdir}{os.sep}{picture}"  # "images/a.jpg" too has a folder before images
    head, found, tail = name.rpartition(f"{os.sep}images{os.sep}")
    changed = f"{head}{os.sep}labels{os.sep}{tail}".removeprefix(f"{os.curdir}{os.sep}")
    return Path(changed if found else picture).with_suffix(".txt")


def _add(picture: Path, part: str, place: dict[int, int], target: Target | None, found: Annotations) -> None:
    """One picture and its objects; a picture whose label file cannot be read is left out."""
    label = _label_file(picture)
    if not os.path.lexists(label):
        found.findings[UNLABELLED].append(str(picture))
        found.add(picture, part)
        return
    rows = _rows(label, found)
    if rows is not None:
        found.add(picture, part)
        for line, words in rows:
            _add_object(f"{label}, line {line}", words, place, target, found)


def _skip_orphans(folder: Path, found: Annotations) -> None:
    """List the label files of a folder of pictures that belong to none."""
    labels = _label_file(folder / "x").parent
    if not folder.is_dir() or not labels.is_dir():
        return
    stems = {picture.stem for picture in tree.pictures(folder)} | {Path(name).stem for name in _CLASS_FILES}
    for label in tree.files(labels, ".txt"):
        if label.stem not in stems:
            found.skip(label, "is the label file of no picture")


def _rows(label: Path, found: Annotations) -> list[tuple[int, list[str]]] | None:
    """(line number, words) of a label file; None, and a line in `skipped`, where it is no text."""
    try:
        if not label.is_file() or label.stat().st_size > _LARGEST:
            raise ValueError(f"is no file, or larger than {_LARGEST >> 20} MB")
        text = label.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        found.skip(label, f"cannot be read, so its picture is left out: {error}")
        return None
    return [(line, words.split()) for line, words in enumerate(text.splitlines(), start=1) if words.strip()]


def _add_object(where: str, words: list[str], place: dict[int, int], target: Target | None, found: Annotations) -> None:
    written, *values = [number(word) for word in words]
    known = place.get(int(written), -1) if written == written // 1 else -1
    outline = len(values) >= 6 and len(values) % 2 == 0
    if len(values) != 4 and not outline:
        found.bad(where, f"has {len(words)} numbers, expected 5 (a box) or an outline of 7 or more")
    elif known < 0:
        found.bad(where, f"class {words[0]} is none of the {len(place)} classes")
    elif target in (None, "boxes", "label") or _add_shape(where, values if outline else None, known, found):
        found.box(_around(values) if outline else _corners(*values), known)


def _add_shape(where: str, values: list[float] | None, known: int, found: Annotations) -> bool:
    """Whether the object has a usable outline."""
    try:
        found.shape(segment([values] if values else None, (1, 1)), known)
    except ValueError as error:
        found.bad(where, str(error))
        return False
    return True


def _corners(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return y - height / 2, x - width / 2, y + height / 2, x + width / 2


def _around(values: list[float]) -> tuple[float, float, float, float]:
    xs, ys = values[::2], values[1::2]
    # min() of numbers and NaN depends on their order
    return (float("nan"),) * 4 if any(value != value for value in values) else (min(ys), min(xs), max(ys), max(xs))
