"""Annotations meet the pictures they belong to: boxes in pixels of the upright picture, masks of its size.

What annotation tools write belongs to the picture as it stands upright. Where an annotation declares the size that the
file has before EXIF turns it, the tool did not look at EXIF, and boxes and masks are turned like the picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from tfmap.datasets import masks
from tfmap.datasets.annotations import BAD
from tfmap.datasets.listing import Listing, objects
from tfmap.datasets.polygons import Shapes
from tfmap.datasets.scan import MaskVerdict, Verdict, scan_masks
from tfmap.source import Boxes, Masks

CLIPPED = "box partly outside the picture, clipped"
SIZE = "annotation of another size than its picture"
MASK_SIZE, MASK_VALUE = "is of another size", "has unknown values"  # how the fault of a mask begins

_SLACK = 0.02  # pixels; shares written with six digits are that exact

Reasons = dict[int, str]  # picture -> why it cannot be used
Findings = dict[str, list[str]]


def settle(
    listing: Listing, verdicts: Sequence[Verdict], source: str, *, void: int = 255, workers: int | None = None
) -> tuple[Listing, Reasons, Findings]:
    """Fit boxes or masks to their pictures.

    Args:
        listing: N pictures.
        verdicts: N verdicts of the scan.
        source: what `load` was given.
        void: the value of a mask that stands for no class.
        workers: threads that open masks.

    Returns:
        the listing with usable boxes or masks, and with the classes that occur in each picture as labels; pictures
        whose mask cannot be used; findings by kind.

    Raises:
        InputError: masks whose values do not tell the classes.
    """
    findings: Findings = defaultdict(list)
    if listing.kind == "record":  # settled when it was prepared
        return listing, {}, findings
    if listing.target == "instances":
        return *_settle_instances(listing, verdicts, findings), findings
    if listing.boxes is not None:
        _note_sizes(listing, verdicts, findings)
        return _settle_boxes(listing, verdicts, findings)[0], {}, findings
    if listing.masks is None:
        return listing, {}, findings
    if len(listing) and isinstance(listing.masks.items[0], Shapes):
        return *_settle_shapes(listing, verdicts, findings), findings
    return *_settle_files(listing, verdicts, source, void, workers), findings


def _settle_instances(listing: Listing, verdicts: Sequence[Verdict], findings: Findings) -> tuple[Listing, Reasons]:
    """An object goes with its box, so that the numbers in masks stay those of the boxes."""
    counts = np.diff(listing.boxes.starts)
    listing, keep = _settle_boxes(listing, verdicts, findings)
    kept = np.split(keep, np.cumsum(counts)[:-1])
    items = [
        item._replace(objects=tuple(one for one, stays in zip(item.objects, rows, strict=True) if stays))
        for item, rows in zip(listing.masks.items, kept, strict=True)
    ]
    masks = Masks(objects(items), listing.masks.reader)
    return _settle_shapes(replace(listing, masks=masks), verdicts, findings)


def _settle_boxes(listing: Listing, verdicts: Sequence[Verdict], findings: Findings) -> tuple[Listing, np.ndarray]:
    """The listing, and bool (M,): which boxes stay."""
    table = listing.boxes
    owner = np.repeat(np.arange(len(listing)), np.diff(table.starts))
    limits = np.tile(_sizes(verdicts), 2)[owner]
    with np.errstate(invalid="ignore", over="ignore"):  # what is no number is a fault below
        boxes = in_pixels(listing, verdicts)
        clipped = np.clip(boxes, 0, limits).astype(np.float32)
        faults = _faults(boxes, clipped, table.classes, len(listing.classes))
        moved = (np.abs(clipped - boxes) > _SLACK).any(axis=1)
    readable = limits[:, 0] > 0
    for kind, rows in ((BAD, faults > 0), (CLIPPED, (faults == 0) & moved)):
        for row in np.flatnonzero(rows & readable):
            findings[kind].append(f"{_name(listing, owner, row)}{_FAULTS[faults[row]]}: {_written(boxes[row])}")
    keep = readable & (faults == 0)
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner[keep], minlength=len(listing)))]).astype(np.int64)
    rest = (array[keep] for array in (table.classes, table.crowd, table.difficult))
    labels = np.zeros((len(listing), len(listing.classes)), np.float32)
    labels[owner[keep], table.classes[keep]] = 1
    return replace(listing, boxes=Boxes(starts, clipped[keep], *rest), labels=labels), keep


def in_pixels(listing: Listing, verdicts: Sequence[Verdict]) -> np.ndarray:
    """float64 (M, 4): the boxes of a reader in pixels of the upright pictures, none checked or left out."""
    limits = np.tile(_sizes(verdicts), 2)[np.repeat(np.arange(len(listing)), np.diff(listing.boxes.starts))]
    boxes = listing.boxes.boxes * (limits if listing.unit == "share" else 1.0)
    turned, _ = _compare(listing, verdicts)
    orientation = np.where(turned, [verdict.orientation for verdict in verdicts], 1)
    return _turned(boxes, limits, np.repeat(orientation, np.diff(listing.boxes.starts)))


_FAULTS = (
    "", " has coordinates that are no numbers", " has no area", " lies outside the picture", " is of no known class",
)  # fmt: skip


def _faults(boxes: np.ndarray, clipped: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """int (M,): what is wrong with each box, as a place in _FAULTS; 0 for nothing."""
    tests = [
        ~np.isfinite(boxes).all(axis=1),
        (boxes[:, :2] >= boxes[:, 2:]).any(axis=1),
        (clipped[:, :2] >= clipped[:, 2:]).any(axis=1),
        (classes < 0) | (classes >= count),
    ]
    return np.select(tests, [1, 2, 3, 4], 0)


def _sizes(verdicts: Sequence[Verdict]) -> np.ndarray:
    """int64 (N, 2): (height, width) of the upright pictures, zeros where one cannot be read."""
    return np.array([(verdict.height, verdict.width) for verdict in verdicts], np.int64).reshape(-1, 2)


def _compare(listing: Listing, verdicts: Sequence[Verdict]) -> tuple[np.ndarray, np.ndarray]:
    """bool (N,) each: annotations of the picture as it is stored, not upright; annotations of a size it never has."""
    sizes = _sizes(verdicts)
    declared = np.zeros_like(sizes) if listing.sizes is None else listing.sizes
    known = (declared > 0).all(axis=1) & (sizes > 0).all(axis=1)
    other = known & (declared != sizes).any(axis=1)
    turned = (
        other
        & (declared == sizes[:, ::-1]).all(axis=1)
        & (np.array([verdict.orientation for verdict in verdicts]) >= 5)
    )
    return turned, other & ~turned


def _note_sizes(listing: Listing, verdicts: Sequence[Verdict], findings: Findings) -> None:
    for picture in np.flatnonzero(_compare(listing, verdicts)[1]):
        (h, w), verdict = listing.sizes[picture], verdicts[picture]
        findings[SIZE].append(
            f"{listing.ids[picture]}: {verdict.width} x {verdict.height} pixels, annotated as {w} x {h}"
        )


def _turned(boxes: np.ndarray, limits: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Boxes of the stored picture -> boxes of the upright one, whose sides are `limits`."""
    top, left, bottom, right = boxes.T
    height, width = limits[:, 0], limits[:, 1]
    ways = {
        5: (left, top, right, bottom),
        6: (left, width - bottom, right, width - top),
        7: (height - right, width - bottom, height - left, width - top),
        8: (height - right, top, height - left, bottom),
    }
    for number, corners in ways.items():
        boxes = np.where((orientation == number)[:, np.newaxis], np.stack(corners, axis=1), boxes)
    return boxes


def _name(listing: Listing, owner: np.ndarray, row: int) -> str:
    table, picture = listing.boxes, owner[row]
    number = table.classes[row]
    label = f" ({listing.classes[number]})" if 0 <= number < len(listing.classes) else f" (class {number})"
    return f"{listing.ids[picture]}: box {row - table.starts[picture] + 1}{label}"


def _written(box: np.ndarray) -> str:
    ymin, xmin, ymax, xmax = (f"{value:g}" for value in box)
    return f"x {xmin} to {xmax}, y {ymin} to {ymax}"


def _settle_shapes(listing: Listing, verdicts: Sequence[Verdict], findings: Findings) -> tuple[Listing, Reasons]:
    """Outlines of a picture are drawn in its own size."""
    turned, differs = _compare(listing, verdicts)
    _note_sizes(listing, verdicts, findings)
    items = [
        item._replace(orientation=verdict.orientation)
        if turn
        else item._replace(height=verdict.height, width=verdict.width)
        for item, verdict, turn in zip(listing.masks.items, verdicts, turned, strict=True)
    ]
    reasons = {int(picture): "its outlines belong to a picture of another size" for picture in np.flatnonzero(differs)}
    return replace(listing, masks=Masks(objects(items), listing.masks.reader)), reasons


def _settle_files(
    listing: Listing, verdicts: Sequence[Verdict], source: str, void: int, workers: int | None
) -> tuple[Listing, Reasons]:
    """Values of mask files become classes."""
    seen = scan_masks(listing.masks.items, source, workers)
    usable = [not mask.reason and not verdict.reason for mask, verdict in zip(seen, verdicts, strict=True)]
    held = [np.frombuffer(bytes.fromhex(mask.values), np.uint8) for mask in seen]
    named = listing.classes if listing.declared else None
    classes, table = masks.classes(source, [row for row, good in zip(held, usable, strict=True) if good], named, void)
    reasons: Reasons = {}
    items, labels = [], np.zeros((len(listing), len(classes)), np.float32)
    for picture, (mask, verdict) in enumerate(zip(seen, verdicts, strict=True)):
        found = table[held[picture]]
        turn = _turn(mask, verdict)
        fault = mask.reason or _mask_fault(mask, verdict, turn, held[picture][found == masks.UNKNOWN], len(classes))
        if fault and not verdict.reason:
            reasons[picture] = f"its mask {masks.name(listing.masks.items[picture])} {fault}"
        labels[picture, found[found < len(classes)]] = 1
        items.append((listing.masks.items[picture], turn))
    reader = partial(
        masks.read_mask, table=bytes(np.where(table == masks.UNKNOWN, masks.IGNORED, table).astype(np.uint8))
    )
    return replace(listing, classes=classes, labels=labels, declared=True, masks=Masks(objects(items), reader)), reasons


def _turn(mask: MaskVerdict, verdict: Verdict) -> int:
    stored = verdict.orientation >= 5 and (mask.height, mask.width) == (verdict.width, verdict.height)
    return verdict.orientation if stored and mask.height != mask.width else 1


def _mask_fault(mask: MaskVerdict, verdict: Verdict, turn: int, unknown: np.ndarray, count: int) -> str:
    if turn == 1 and (mask.height, mask.width) != (verdict.height, verdict.width):
        sizes = f"{mask.width} x {mask.height} pixels, the picture {verdict.width} x {verdict.height}"
        return f"{MASK_SIZE}: {sizes}"
    if unknown.size:
        listed = ", ".join(map(str, unknown[:5]))
        return f"{MASK_VALUE}: {listed}; the classes are 0 to {count - 1} (name more in classes.txt)"
    return ""
