"""COCO: one JSON file for many pictures.

    annotations/instances_train2017.json  train2017/*.jpg      as COCO ships it; pictures in images/ are found too
    train/_annotations.coco.json  train/*.jpg                  as Roboflow exports it
    picked.json  images/*.jpg                                  a file given itself, pictures beside it or in images/

Category ids may be sparse; classes come in the order of their ids. Crowds (`iscrowd`) keep their mark.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tfmap.datasets import tree
from tfmap.datasets.annotations import Annotations, Box, number, side
from tfmap.datasets.listing import PARTS, Listing, Target, check_classes
from tfmap.datasets.polygons import segment
from tfmap.errors import InputError

_HEAD = 1 << 14  # bytes in which a COCO file starts one of its lists
_LIST = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_FOLDERS = ("images", "image", "imgs", "data")
_PROBE = 50  # pictures that are looked for to find their folder


class _File(NamedTuple):
    """An annotation file: the part that it is, where its pictures lie, and its three lists."""

    path: Path
    part: str
    folder: Path
    content: dict[str, list]


def matches(path: Path) -> bool:
    """Whether a folder holds COCO files, or a file is one."""
    return _is_coco(path) if path.is_file() else bool(_files(path))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold Python's cycle collector, which walks millions of dicts again and again: half the time of a COCO file."""
    held = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if held:
            gc.enable()


@_no_collection()
def read(path: Path, target: Target | None = None) -> Listing:
    """List the pictures of one file, or of all in a folder, with their boxes, masks drawn from their outlines, or both.

    Raises:
        InputError: no COCO file, one that is no JSON or lacks a list, or a category without a usable name.
    """
    files = [path] if path.is_file() else _files(path)
    if not files:
        raise InputError(
            f"datasets: {path} has no COCO annotations: expected annotations/*.json, <part>/_annotations.coco.json or "
            "a .json file beside the pictures, with the lists images, annotations and categories."
        )
    root = path.parent if path.is_file() else path
    # One file alone does not say how to cut the data, whatever its name.
    parts = [_part(file, root) if len(files) > 1 else "" for file in files]
    contents = [_load(file) for file in files]
    classes = _classes(files, contents)
    found = Annotations()
    for file, part, content in zip(files, parts, contents, strict=True):
        _add(_File(file, part, _folder(file, root, content), content), classes, target, found)
    return found.listing(classes, path, target=target or "boxes", unit="pixels")


def _files(folder: Path) -> list[Path]:
    """The annotation files of a folder; where some are called instances_*, only those."""
    roots = [folder, *(path for path in (tree.child(folder, ("annotations",)),) if path)]
    roots += [path for _, path in tree.parts(folder)]
    found = [file for root in roots for file in tree.files(root, ".json") if _is_coco(file)]
    return [file for file in found if file.name.startswith("instances_")] or found


def _is_coco(file: Path) -> bool:
    if file.suffix.lower() != ".json" or not file.is_file():
        return False
    with open(file, "rb") as data:
        return _LIST.search(data.read(_HEAD)) is not None


def _load(file: Path) -> dict[str, list]:
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"datasets: {file} is no JSON: {error}.") from error
    lists = ("images", "annotations", "categories")
    missing = [name for name in lists if not isinstance(content, dict) or not isinstance(content.get(name), list)]
    if missing:
        raise InputError(f"datasets: {file} is no COCO file: it has no list {' and no list '.join(missing)}.")
    return {name: content[name] for name in lists}


def _classes(files: list[Path], contents: list[dict[str, list]]) -> tuple[str, ...]:
    """The names of all categories, by id and then in the order of the files."""
    names: dict[str, Any] = {}
    for file, content in zip(files, contents, strict=True):
        for item in sorted(filter(_is_category, content["categories"]), key=lambda item: item["id"]):
            names.setdefault(check_classes([item["name"].strip()], f"a category of {file}")[0])
    if not names:
        raise InputError(f"datasets: {files[0]} has no category with an id and a name.")
    return tuple(names)


def _is_category(item: Any) -> bool:
    return isinstance(item, dict) and type(item.get("id")) is int and isinstance(item.get("name"), str)


def _part(file: Path, root: Path) -> str:
    """By the file's name (instances_val2017), else by its folder (valid/_annotations.coco.json)."""
    words = re.findall("[a-z]+", file.stem.lower()) + [file.parent.name.lower()] * (file.parent != root)
    return next((PARTS[word] for word in words if word in PARTS), "")


def _folder(file: Path, root: Path, content: dict[str, list]) -> Path:
    """Where the pictures of a file lie: the folder that has most of the first ones."""
    names = [item["file_name"] for item in filter(_is_image, content["images"][:_PROBE])]
    word = file.stem.split("_", 1)[-1]  # instances_train2017 -> train2017
    part = [name for name, ours in PARTS.items() if ours == _part(file, root)]
    homes = dict.fromkeys([file.parent, root, file.parent.parent])
    bases = [*homes, *(home / name for home in homes for name in (word, *_FOLDERS, *part))]
    bases += [home / folder / name for home in homes for folder in _FOLDERS for name in (word, *part)]
    return max(bases, key=lambda base: sum(_is_file(base, name) for name in names))


def _is_file(base: Path, name: str) -> bool:
    try:
        return (base / name).is_file()
    except (OSError, ValueError):
        return False


def _is_image(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("file_name"), str) and type(item.get("id")) in (int, str)


def _add(file: _File, classes: tuple[str, ...], target: Target | None, found: Annotations) -> None:
    """Everything of one file."""
    place = {name: index for index, name in enumerate(classes)}
    numbers = {item["id"]: place[item["name"].strip()] for item in filter(_is_category, file.content["categories"])}
    notes = _by_picture(file, found)
    seen: set[int | str] = set()
    for image in _images(file, found):
        seen.add(image["id"])
        size = side(image.get("height")), side(image.get("width"))
        found.add(file.folder / image["file_name"], file.part, size)
        for note in notes.get(image["id"], ()):
            known = _number(note.get("category_id"), numbers)
            where = f"{file.path}: annotation {note.get('id')} of {image['file_name']}"
            outlined = target in ("mask", "instances") and _add_shape(where, note, known, size, found)
            if outlined or target in (None, "boxes", "label"):
                found.box(_box(note.get("bbox")), known, crowd=_is_crowd(note))
    for unknown in sorted(notes.keys() - seen, key=str):
        found.bad(str(file.path), f"{len(notes[unknown])} annotations of image_id {unknown}, which is not there")


def _images(file: _File, found: Annotations) -> Iterator[dict]:
    """The usable entries of the list of pictures, each id once."""
    seen: set[int | str] = set()
    for index, image in enumerate(file.content["images"]):
        if not _is_image(image):
            found.bad(f"{file.path}: images[{index}]", "has no id or no file_name")
        elif image["id"] in seen:
            twice = f"{file.path} has two pictures of id {image['id']}; the first is kept"
            found.skip(file.folder / image["file_name"], twice)
        else:
            seen.add(image["id"])
            yield image


def _by_picture(file: _File, found: Annotations) -> dict[int | str, list[dict]]:
    notes: dict[int | str, list[dict]] = {}
    for index, note in enumerate(file.content["annotations"]):
        if isinstance(note, dict) and type(note.get("image_id")) in (int, str):
            notes.setdefault(note["image_id"], []).append(note)
        else:
            found.bad(f"{file.path}: annotations[{index}]", "has no image_id")
    return notes


def _number(category: Any, numbers: dict[int, int]) -> int:
    return numbers.get(category, -1) if isinstance(category, int) else -1


def _is_crowd(note: dict) -> bool:
    return note.get("iscrowd") in (1, True)


def _add_shape(where: str, note: dict, known: int, size: tuple[int, int], found: Annotations) -> bool:
    """Whether the object has a usable outline."""
    try:
        if known < 0:
            raise ValueError(f"is of no known category ({note.get('category_id')})")
        found.shape(segment(note.get("segmentation"), size), known, crowd=_is_crowd(note))
    except ValueError as error:
        found.bad(where, str(error))
        return False
    return True


def _box(written: Any) -> Box:
    """[x, y, width, height] as corners; NaN where it is something else."""
    values = list(map(number, written)) if isinstance(written, list) else []
    if len(values) != 4:
        return (float("nan"),) * 4
    x, y, width, height = values
    return y, x, y + height, x + width
