"""Folders of pictures and of masks: the same names in two folders side by side.

    images/a.jpg      masks/a.png             or with a suffix: masks/a_mask.png
    train/image/...   train/label/...         parts above
    images/train/...  masks/train/...         parts below

A mask is a greyscale or palette PNG (or another lossless format) whose pixels are class numbers; see `classes`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfmap import pixels
from tfmap.datasets import tree
from tfmap.datasets.listing import Listing, distinct_classes, objects
from tfmap.datasets.polygons import upright
from tfmap.errors import InputError
from tfmap.source import Masks, Skipped

PICTURES = ("images", "image", "imgs", "img", "pictures", "jpegimages")
MASKS = ("masks", "mask", "labels", "label", "segmentationclass", "annotations", "gt")
IGNORED = 255
UNKNOWN = 256  # in a table of values: stands for no class

_SUFFIX = re.compile(r"[_-](mask|label|labels|seg|segmentation|gt)$", re.IGNORECASE)
_CLASS_FILES = ("classes.txt", "labels.txt")
_SOFT = 64  # so many values in masks without class names are no classes any more

Pair = tuple[str, Path, Path]  # part, pictures, masks


def matches(folder: Path) -> bool:
    """Whether there are pictures and masks of the same names side by side, in folders that are not Pascal VOC's."""
    own = folder / "SegmentationClass"
    return any(_share_names(pictures, masks) for _, pictures, masks in _pairs(folder) if masks != own)


def read(folder: Path) -> Listing:
    """List pictures and masks. Pictures without a mask and masks without a picture are listed in `skipped`.

    Class names are the lines of classes.txt or labels.txt in the folder, from class 0 on.

    Raises:
        InputError: there are no two such folders.
    """
    pairs = _pairs(folder)
    if not pairs:
        raise InputError(
            f"datasets: {folder} has no folders of pictures and masks: expected images/ and masks/ (or image/ and "
            "label/, JPEGImages/ and SegmentationClass/), with or without train, val and test."
        )
    rows, skipped = [], []
    for part, pictures, masks in pairs:
        match(part, tree.pictures(pictures), tree.pictures(masks), rows, skipped)
    used = {path for _, pictures, masks in pairs for path in (pictures, masks)}
    skipped += [Skipped(str(path), "has no mask") for path in _beside(folder, used)]
    return listing(folder, rows, skipped, tree.class_names(folder, *_CLASS_FILES))


def listing(
    folder: Path, rows: Sequence[tuple[str, Path, Path]], skipped: Sequence[Skipped], names: Sequence[str] | None
) -> Listing:
    """A listing of rows (part, picture, mask); without names the values of the masks tell the classes later.

    Raises:
        InputError: no rows.
    """
    if not rows:
        why = f" The first that was left out: {skipped[0].path} {skipped[0].reason}." if skipped else ""
        raise InputError(f"datasets: {folder} has no picture with a mask.{why}")
    paths = objects([str(picture) for _, picture, _ in rows])
    known = distinct_classes([name.strip() for name in names or ()], f"class names of {folder}")
    return Listing(
        kind="path",
        images=paths,
        labels=np.zeros((len(rows), len(known)), np.float32),
        ids=paths,
        parts=objects([part for part, _, _ in rows]),
        classes=known,
        skipped=tuple(skipped),
        masks=Masks(objects([str(mask) for _, _, mask in rows]), pixels.read_values),
        declared=bool(known),
    )


def match(part: str, pictures: Sequence[Path], masks: Sequence[Path], rows: list[Pair], skipped: list[Skipped]) -> None:
    """Pair pictures with masks of the same name, with or without a suffix such as _mask; adds to rows and skipped."""
    by_stem = {_SUFFIX.sub("", mask.stem): mask for mask in masks} | {mask.stem: mask for mask in masks}
    found = [(picture, by_stem.get(picture.stem)) for picture in pictures]
    rows += [(part, picture, mask) for picture, mask in found if mask]
    skipped += [Skipped(str(picture), "has no mask") for picture, mask in found if not mask]
    used = {mask for _, mask in found}
    skipped += [Skipped(str(mask), "is the mask of no picture") for mask in masks if mask not in used]


def classes(
    source: str, held: Sequence[np.ndarray], named: Sequence[str] | None, void: int = IGNORED
) -> tuple[tuple[str, ...], np.ndarray]:
    """What the values of masks mean.

    - 0 and 255 alone: background and foreground.
    - Else a value is the number of a class, and `void` is ignored. Without class names the highest value says how many
      there are; one that stands apart, in a single mask, does not count: a broken mask makes no hundred classes.

    Args:
        source: what `load` was given.
        held: the values in each mask.
        named: class names, or None.
        void: value that stands for no class.

    Returns:
        class names; int64 (256,): value -> class, IGNORED or UNKNOWN.

    Raises:
        InputError: the values are no class numbers, or of fewer than two classes.
    """
    counts = Counter(int(value) for values in held for value in values)
    common = _common_values(counts, len(held))
    table = np.full(256, UNKNOWN)
    if 255 in common and common <= {0, 255} and void == IGNORED and len(named or "ab") == 2:
        table[[0, 255]] = 0, 1
        return tuple(named or ("background", "foreground")), table
    ids = common - {void}
    if not named and len(ids) > _SOFT:
        raise InputError(
            f"datasets: the masks of {source} hold {len(ids)} values: these are grey levels or soft edges, not class "
            "numbers. Save masks without smoothing, or name the classes in classes.txt."
        )
    names = tuple(named or [str(value) for value in range(max(ids, default=0) + 1)])
    if held and not 2 <= len(names) <= 255:
        raise InputError(
            f"datasets: the masks of {source} have {len(names)} classes, expected 2 to 255. Values in them: "
            f"{', '.join(map(str, sorted(counts))) or 'none'}; {void} is ignored."
        )
    table[: len(names)] = np.arange(len(names))
    table[void] = IGNORED
    return names, table


def _common_values(counts: Counter[int], masks: int) -> set[int]:
    """The values that are no accident: held by two masks or more, or next to such a value, or all there is."""
    if masks <= 3 or set(counts) <= {0, 255}:
        return set(counts)
    common = {value for value, count in counts.items() if count > 1}
    for value in sorted(counts):
        if value - 1 in common:
            common.add(value)
    return common


def read_mask(item: tuple[str | bytes, int], table: bytes) -> np.ndarray:
    """One mask.

    Args:
        item: its path or encoded bytes, and EXIF's number of the turn that it needs.
        table: 256 bytes, value -> class.

    Returns:
        uint8 (h, w), 255 ignored.

    Raises:
        OSError: missing, truncated or no mask.
    """
    values = np.frombuffer(table, np.uint8)[pixels.read_values(item[0])]
    return upright(values, item[1])


def name(item: str | bytes) -> str:
    """What an error calls a mask: its path, or nothing."""
    return item if isinstance(item, str) else ""


def _pairs(folder: Path) -> list[Pair]:
    """(part, folder of pictures, folder of masks), whichever way around parts and kinds are nested."""
    roots = [("", folder), *tree.parts(folder)]
    found = []
    for part, root in roots:
        pictures, masks = tree.child(root, PICTURES), _mask_folder(root)
        if pictures is None or masks is None:
            continue
        below = dict(tree.parts(masks))
        inner = [(part, path, below[part]) for part, path in tree.parts(pictures) if part in below]
        found += inner or [(part, pictures, masks)]
    return [pair for pair in found if tree.holds(pair[1], *tree.SUFFIXES) and tree.holds(pair[2], *tree.SUFFIXES)]


def _mask_folder(root: Path) -> Path | None:
    found = {path.name.lower(): path for path in tree.folders(root)}
    return next((found[name] for name in MASKS if name in found), None)


def _share_names(pictures: Path, masks: Path) -> bool:
    stems = {_SUFFIX.sub("", path.stem) for path in tree.pictures(masks)}
    return any(path.stem in stems for path in tree.pictures(pictures))


def _beside(folder: Path, used: set[Path]) -> list[Path]:
    """Pictures in the folder and in its parts that stand in no pair."""
    roots = [folder, *(path for _, path in tree.parts(folder))]
    roots += [path for root in roots for path in tree.folders(root) if path.name.lower() in PICTURES]
    return [path for root in roots if root not in used for path in tree.pictures(root)]
