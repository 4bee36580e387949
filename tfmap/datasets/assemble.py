"""Listing -> Source: scan, clean, cut, check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tfmap.datasets import clean, splits
from tfmap.datasets.listing import Listing
from tfmap.datasets.scan import Verdict, scan
from tfmap.errors import InputError
from tfmap.source import Skipped, Source, Split

_ORDER = ("train", "val", "test")


def assemble(
    source: str,
    listing: Listing,
    *,
    multi_label: bool | None,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    workers: int | None,
) -> Source:
    """Open every picture of a listing, leave out what spoils, cut the rest; see `datasets.load`."""
    listing = _with_labels(source, listing, multi_label)
    if len(listing.classes) < 2 and not listing.multi_label:
        only = ", ".join(listing.classes) or "none"
        raise InputError(f"datasets: {source} needs at least two classes to tell apart, found {only}.")
    verdicts = scan(listing, source, workers)
    keep, left_out, findings = clean.clean(listing, verdicts)
    _check_some(source, keep, left_out)
    parts = _parts(source, listing, verdicts, keep, val_fraction, test_fraction, seed)
    odd = np.array([verdict.odd for verdict in verdicts], bool)
    cut = {part: _split(listing, odd, np.flatnonzero(keep & (parts == part))) for part in _ORDER}
    cut = {part: split for part, split in cut.items() if len(split)}
    _check_classes(source, listing, cut, findings)
    return Source(
        id=source,
        classes=listing.classes,
        splits=cut,
        multi_label=listing.multi_label,
        target="boxes" if listing.boxes is not None else "mask" if listing.masks is not None else "label",
        skipped=(*listing.skipped, *left_out),
        findings={kind: tuple(lines) for kind, lines in findings.items() if lines},
    )


def _with_labels(source: str, listing: Listing, multi_label: bool | None) -> Listing:
    """The listing with single or several labels a picture, as asked."""
    if multi_label is None or multi_label == listing.multi_label:
        return listing
    if multi_label:
        return replace(listing, labels=np.eye(len(listing.classes), dtype=np.float32)[listing.labels])
    several = np.flatnonzero(listing.labels.sum(axis=1) != 1)
    if several.size:
        raise InputError(
            f"datasets.multi_label is false, but {several.size} pictures of {source} have no label or several, such as "
            f"{listing.ids[several[0]]}. Set it to true, or give each picture one label."
        )
    return replace(listing, labels=listing.labels.argmax(axis=1).astype(np.int32))


def _parts(
    source: str,
    listing: Listing,
    verdicts: Sequence[Verdict],
    keep: np.ndarray,
    val_fraction: float,
    test_fraction: float,
    seed: int,
) -> np.ndarray:
    """The part of each picture: as given, and val and test drawn from train where they are not given."""
    given = set(listing.parts) - {""}
    if "test" in given and test_fraction:
        raise InputError(f"datasets.test_fraction is {test_fraction}, but {source} has a test part. Set it to 0.")
    parts = np.where(listing.parts == "", "train", listing.parts)
    pool = np.flatnonzero(keep & (parts == "train"))
    parts[pool] = splits.split(
        [verdicts[index].digest for index in pool],
        listing.labels[pool],
        val_fraction=0.0 if "val" in given else val_fraction,
        test_fraction=test_fraction,
        seed=seed,
    )
    return parts


def _split(listing: Listing, odd: np.ndarray, indices: np.ndarray) -> Split:
    arrays = (array[indices] for array in (listing.images, listing.labels, listing.ids, odd))
    targets = (None if kept is None else kept.take(indices) for kept in (listing.boxes, listing.masks))
    return Split(listing.kind, *arrays, *targets, listing.shards)


def _check_some(source: str, keep: np.ndarray, left_out: list[Skipped]) -> None:
    if not keep.any():
        why = f" The first: {left_out[0].path} {left_out[0].reason}." if left_out else ""
        raise InputError(f"datasets: none of the {len(keep)} pictures of {source} can be used.{why}")


def _check_classes(source: str, listing: Listing, cut: dict[str, Split], findings: clean.Findings) -> None:
    """Each class must have something to learn from; note it where some are much rarer than others."""
    if "train" not in cut:
        raise InputError(f"datasets: {source} has no train part, only {', '.join(cut)}.")
    labels = cut["train"].labels
    counts = np.bincount(labels, minlength=len(listing.classes)) if labels.ndim == 1 else labels.sum(0).astype(int)
    empty = [name for name, count in zip(listing.classes, counts, strict=True) if not count]
    # Arrays and TensorFlow Datasets declare classes that a part of the data need not hold; files do not.
    if empty and listing.kind == "path":
        raise InputError(
            f"datasets: no usable train picture of class {', '.join(empty)} in {source}. Add pictures or remove the "
            "class."
        )
    findings[clean.NO_PICTURES] += empty
    findings[clean.IMBALANCE] += clean.imbalance(counts, listing.classes)
