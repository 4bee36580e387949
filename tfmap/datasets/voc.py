"""Pascal VOC: an XML file for each picture.

    JPEGImages/  Annotations/  ImageSets/Main/train.txt   as VOC ships it (images/ and annotations/ are read too)
    a.jpg  a.xml                                          side by side, with or without train, val and test above
    JPEGImages/  SegmentationClass/  ImageSets/Segmentation/train.txt   masks

Corners are taken as edges that count from 0, as labelImg, CVAT and Roboflow write them and as torchvision and
TensorFlow Datasets read them. VOC's own devkit counts pixels from 1 and includes the last one; its boxes come out one
pixel short at the left and the top. What decided it is a set of 364 pictures labelled with labelImg, which writes 1 for
0: 625 boxes have a minimum of 1 and 24 one of 2, while 555 end at the last edge, 63 one pixel before it and 23 two.
Counting from 1 would give 555, 63 and 23; counting from 0 gives 618 and 23.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from tfmap.datasets import masks, tree
from tfmap.datasets.annotations import BACKGROUND, UNUSED, Annotations, Box, number, side
from tfmap.datasets.listing import Listing, Target, is_class
from tfmap.errors import InputError
from tfmap.source import Skipped

PICTURES = ("jpegimages", "images", "image", "imgs", "img", "pictures")
NOTES = ("annotations", "annotation", "xml", "xmls", "labels")
# The classes that VOC's own masks are numbered by, from 1 on.
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

_LARGEST = 1 << 26  # bytes of an XML file
_CLASS_FILES = ("classes.txt", "labels.txt")


class Object(NamedTuple):
    """One object of a picture as it is written."""

    name: str
    box: Box
    difficult: bool


class Note(NamedTuple):
    """What an XML file says: (height, width) of its picture, and the objects in it."""

    size: tuple[int, int]
    objects: list[Object]


def matches(folder: Path) -> bool:
    """Whether there are XML files in Annotations/ or beside pictures of the same name, or VOC's own masks."""
    boxes = any(_belong(pictures, notes) for _, pictures, notes in _places(folder))
    return boxes or (tree.child(folder, ("jpegimages",)) is not None and _masks(folder) is not None)


def read(folder: Path, target: Target | None = None) -> Listing:
    """List pictures and the boxes of their XML files, or their masks.

    Class names are sorted. With ImageSets/ only the pictures that it names are read. A picture without XML file, and an
    XML file that cannot be parsed, are listed in `skipped`.

    Raises:
        InputError: there are no XML files, or no masks where they are wanted.
    """
    places = _places(folder)
    if target == "mask" or (target is None and not places and _masks(folder)):
        return _read_masks(folder)
    if not places:
        raise InputError(
            f"datasets: {folder} has no Pascal VOC annotations: expected JPEGImages/ and Annotations/ with XML files, "
            "or XML files beside the pictures."
        )
    found = Annotations()
    pairs = [
        pair
        for part, pictures, notes in places
        for pair in _pairs(folder, part, tree.pictures(pictures), tree.files(notes, ".xml"), found)
    ]
    parsed = [(*pair, content) for pair in pairs if (content := _parse(pair[2], found))]
    names = sorted({item.name for *_, content in parsed for item in content.objects if is_class(item.name)})
    known = {name: index for index, name in enumerate(names)}
    for picture, part, note, content in parsed:
        found.add(picture, part, content.size)
        for place, item in enumerate(content.objects, start=1):
            if item.name in known:
                found.box(item.box, known[item.name], difficult=item.difficult)
            else:
                found.bad(f"{note}: object {place} of {picture}", f"{item.name!r} cannot be a class name")
    return found.listing(names, folder, unit="pixels")


def _places(folder: Path) -> list[tuple[str, Path, Path]]:
    """(part, folder of pictures, folder of XML files)."""
    roots = [("", folder), *tree.parts(folder)]
    places = [(part, tree.child(root, PICTURES) or root, tree.child(root, NOTES) or root) for part, root in roots]
    return [place for place in places if tree.holds(place[2], ".xml")]


def _belong(pictures: Path, notes: Path) -> bool:
    """Whether two folders stand side by side, or share a name: XML files in some folder of pictures may be anything."""
    if pictures != notes and pictures.parent == notes.parent:
        return True
    stems = {note.stem for note in tree.files(notes, ".xml")}
    return any(picture.stem in stems for picture in tree.pictures(pictures))


def _pairs(
    folder: Path, part: str, pictures: list[Path], notes: list[Path], found: Annotations
) -> Iterator[tuple[Path, str, Path]]:
    """(picture, part, XML file); what has no counterpart is listed."""
    by_stem = {picture.stem: picture for picture in pictures}
    files = {note.stem: note for note in notes}
    sets = _sets(folder, "Main")
    for stem in sorted(files.keys() - by_stem.keys()):
        found.skip(files[stem], "is the annotation of no picture")
    wanted = sets or [(part, stem) for stem in by_stem]
    for name, stem in wanted:
        if stem in by_stem and stem in files:
            yield by_stem[stem], name, files[stem]
        else:
            found.skip(by_stem.get(stem, stem), f"has no {'annotation file' if stem in by_stem else 'picture'}")
    unused = len(by_stem.keys() - {stem for _, stem in wanted})
    if unused:
        found.findings[UNUSED].append(f"{unused} pictures of {folder} stand in no file of ImageSets/Main")


def _sets(folder: Path, kind: str) -> list[tuple[str, str]]:
    """(part, stem of a picture) by ImageSets/; trainval counts where train is not there."""
    root = folder / "ImageSets" / kind
    if not root.is_dir():
        return []
    named = {name: root / f"{name}.txt" for name in ("train", "val", "test") if (root / f"{name}.txt").is_file()}
    if "train" not in named and (root / "trainval.txt").is_file():
        named = {"train": root / "trainval.txt", **{k: v for k, v in named.items() if k == "test"}}
    rows = [(part, line.split()[0]) for part, file in named.items() for line in _lines(file)]
    return rows if len(named) > 1 else [("", stem) for _, stem in rows]


def _lines(file: Path) -> list[str]:
    return [line for line in tree.read_text(file).splitlines() if line.strip()]


def _parse(note: Path, found: Annotations) -> Note | None:
    """An XML file; None, and a line in `skipped`, where it is broken."""
    try:
        if not note.is_file() or note.stat().st_size > _LARGEST:
            raise ValueError(f"is no file, or larger than {_LARGEST >> 20} MB")
        root = ElementTree.fromstring(note.read_bytes())
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        found.skip(note, f"is no XML that can be read, so its picture is left out: {error}")
        return None
    if root.tag != "annotation":
        found.skip(note, f"is no VOC annotation, so its picture is left out: it starts with <{root.tag}>")
        return None
    size = side(root.findtext("size/height")), side(root.findtext("size/width"))
    return Note(size, [_object(item) for item in root.iter("object")])


def _object(item: ElementTree.Element) -> Object:
    corners = [number(item.findtext(f"bndbox/{name}")) for name in ("ymin", "xmin", "ymax", "xmax")]
    return Object(
        (item.findtext("name") or "").strip(), tuple(corners), (item.findtext("difficult") or "").strip() == "1"
    )


def _masks(folder: Path) -> Path | None:
    return tree.child(folder, ("segmentationclass",))


def _read_masks(folder: Path) -> Listing:
    pictures, root = tree.child(folder, PICTURES), _masks(folder)
    if pictures is None or root is None:
        raise InputError(f"datasets: {folder} has no masks (SegmentationClass/), so datasets.target cannot be mask.")
    by_stem = {path.stem: path for path in tree.pictures(pictures)}
    files = {path.stem: path for path in tree.pictures(root)}
    # VOC has masks for some of its pictures only: without ImageSets/ those that have one are the data set.
    wanted = _sets(folder, "Segmentation") or [("", stem) for stem in files]
    rows = [(part, by_stem[stem], files[stem]) for part, stem in wanted if stem in by_stem and stem in files]
    skipped = [
        Skipped(str(by_stem.get(stem, files.get(stem, stem))), f"has no {'mask' if stem in by_stem else 'picture'}")
        for _, stem in wanted
        if stem not in by_stem or stem not in files
    ]
    return masks.listing(folder, rows, skipped, tree.class_names(folder, *_CLASS_FILES) or _own_classes(folder))


def _own_classes(folder: Path) -> list[str] | None:
    """VOC's own names and order, where the XML files know them and no others."""
    named: set[str] = set()
    for _, _, notes in _places(folder):
        for note in tree.files(notes, ".xml"):
            content = _parse(note, Annotations())
            named |= {item.name for item in content.objects} if content else set()
    return [BACKGROUND, *CLASSES] if named and named <= set(CLASSES) else None
