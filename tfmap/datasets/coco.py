"""COCO: one JSON file for many pictures.

    annotations/instances_train2017.json  train2017/*.jpg      as COCO ships it; pictures in images/ are found too
    train/_annotations.coco.json  train/*.jpg                  as Roboflow exports it
    picked.json  images/*.jpg                                  a file given itself, pictures beside it or in images/

Category ids may be sparse; classes come in the order of their ids. Crowds (`iscrowd`) keep their mark.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tfmap.datasets import tree
from tfmap.datasets.annotations import BAD, Annotations, Box, number, side
from tfmap.datasets.listing import PARTS, Listing, Target, check_classes
from tfmap.datasets.polygons import segment
from tfmap.errors import InputError

_HEAD = 1 << 14  # bytes in which a COCO file starts one of its lists
_LIST = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_FOLDERS = ("images", "image", "imgs", "data")
_PROBE = 50  # pictures that are looked for to find their folder


def matches(path: Path) -> bool:
    """Whether a folder holds COCO files, or a file is one."""
    return _is_coco(path) if path.is_file() else bool(_files(path))


def read(path: Path, target: Target | None = None) -> Listing:
    """List the pictures of one file, or of all in a folder, with their boxes, or with masks drawn from their outlines.

    Raises:
        InputError: no COCO file, one that is no JSON or lacks a list, or a category without a usable name.
    """
    files = [path] if path.is_file() else _files(path)
    if not files:
        raise InputError(
            f"datasets: {path} has no COCO annotations: expected annotations/*.json, <part>/_annotations.coco.json or "
            "a .json file beside the pictures, with the lists images, annotations and categories."
        )
    contents = [(file, _load(file)) for file in files]
    classes = _classes(contents)
    found = Annotations()
    root = path.parent if path.is_file() else path
    # One file alone does not say how to cut the data, whatever its name.
    parts = [_part(file, root) for file in files] if len(files) > 1 else [""]
    for part, (file, content) in zip(parts, contents, strict=True):
        _add(file, content, part, _folder(file, root, content), classes, target, found)
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


def _classes(contents: list[tuple[Path, dict[str, list]]]) -> tuple[str, ...]:
    """The names of all categories, by id and then in the order of the files."""
    names: dict[str, Any] = {}
    for file, content in contents:
        for item in sorted(filter(_is_category, content["categories"]), key=lambda item: item["id"]):
            names.setdefault(check_classes([item["name"].strip()], f"a category of {file}")[0])
    if not names:
        raise InputError(f"datasets: {contents[0][0]} has no category with an id and a name.")
    return tuple(names)


def _is_category(item: Any) -> bool:
    return isinstance(item, dict) and type(item.get("id")) is int and isinstance(item.get("name"), str)


def _part(file: Path, root: Path) -> str:
    """By the file's name (instances_val2017), else by its folder (valid/_annotations.coco.json)."""
    words = [*re.findall("[a-z]+", file.stem.lower()), *(file.parent.name.lower() for _ in [0] if file.parent != root)]
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


def _add(
    file: Path,
    content: dict[str, list],
    part: str,
    folder: Path,
    classes: tuple[str, ...],
    target: Target | None,
    found: Annotations,
) -> None:
    """Everything of one file."""
    place = {name: index for index, name in enumerate(classes)}
    numbers = {item["id"]: place[item["name"].strip()] for item in filter(_is_category, content["categories"])}
    notes = _by_picture(file, content, found)
    seen: set[int | str] = set()
    for index, image in enumerate(content["images"]):
        if not _is_image(image):
            found.bad(f"{file}: images[{index}]", "has no id or no file_name")
            continue
        if image["id"] in seen:
            found.skip(folder / image["file_name"], f"{file} has two pictures of id {image['id']}; the first is kept")
            continue
        seen.add(image["id"])
        size = side(image.get("height")), side(image.get("width"))
        found.add(folder / image["file_name"], part, size)
        for note in notes.get(image["id"], ()):
            _add_object(
                f"{file}: annotation {note.get('id')} of {image['file_name']}", note, numbers, size, target, found
            )
    for unknown in sorted(notes.keys() - seen, key=str):
        found.findings[BAD].append(
            f"{file}: {len(notes[unknown])} annotations of image_id {unknown}, which is not there"
        )


def _by_picture(file: Path, content: dict[str, list], found: Annotations) -> dict[int | str, list[dict]]:
    notes: dict[int | str, list[dict]] = {}
    for index, note in enumerate(content["annotations"]):
        if isinstance(note, dict) and type(note.get("image_id")) in (int, str):
            notes.setdefault(note["image_id"], []).append(note)
        else:
            found.bad(f"{file}: annotations[{index}]", "has no image_id")
    return notes


def _add_object(
    where: str, note: dict, numbers: dict[int, int], size: tuple[int, int], target: Target | None, found: Annotations
) -> None:
    category = note.get("category_id")
    known = numbers.get(category, -1) if isinstance(category, int) else -1
    crowd = note.get("iscrowd") in (1, True)
    if target != "mask":
        found.box(_box(note.get("bbox")), known, crowd=crowd)
        return
    try:
        if known < 0:
            raise ValueError(f"is of no known category ({category})")
        found.shape(segment(note.get("segmentation"), size), known, crowd=crowd)
    except ValueError as error:
        found.bad(where, str(error))


def _box(written: Any) -> Box:
    """[x, y, width, height] as corners; NaN where it is something else."""
    values = list(map(number, written)) if isinstance(written, list) else []
    if len(values) != 4:
        return (float("nan"),) * 4
    x, y, width, height = values
    return y, x, y + height, x + width
