"""Listing -> Source: scan, settle, clean, cut, check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tfmap.datasets import clean, splits
from tfmap.datasets.fingerprint import fingerprint
from tfmap.datasets.listing import Listing, Target
from tfmap.datasets.scan import Verdict, scan
from tfmap.datasets.settle import settle
from tfmap.errors import InputError
from tfmap.source import Skipped, Source, Split

_ORDER = ("train", "val", "test")
_NOUNS = {"boxes": "boxes", "mask": "masks", "instances": "boxes with masks"}


def assemble(
    source: str,
    listing: Listing,
    *,
    target: Target | None,
    multi_label: bool | None,
    void: int,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    workers: int | None,
    verdicts: Sequence[Verdict] | None = None,
) -> Source:
    """Open every picture of a listing (unless `verdicts` tell already), leave out what spoils, cut the rest.

    See `datasets.load`.
    """
    listing = with_safe_names(listing)
    verdicts = scan(listing, source, workers) if verdicts is None else verdicts
    listing, unfit, found = settle(listing, verdicts, source, void=void, workers=workers)
    if target == "label":
        listing = replace(listing, boxes=None, masks=None)
    listing = _with_labels(source, listing, multi_label)
    _check_enough(source, listing)
    keep, left_out, findings = clean.clean(listing, verdicts, unfit)
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
        multi_label=listing.target == "label" and listing.multi_label,
        target=listing.target,
        skipped=tuple(Skipped(_printable(item.path), item.reason) for item in (*listing.skipped, *left_out)),
        findings=_joined(listing.findings, found, findings),
        digest=fingerprint(listing, verdicts, parts, keep),
    )


def _joined(*all_findings: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    joined: dict[str, tuple[str, ...]] = {}
    for findings in all_findings:
        for kind, lines in findings.items():
            joined[kind] = (*joined.get(kind, ()), *map(_printable, lines))
    return {kind: lines for kind, lines in joined.items() if lines}


def with_safe_names(listing: Listing) -> Listing:
    """Without the files whose names are no text: neither TensorFlow nor a report can write them."""
    if listing.kind != "path":
        return listing
    safe = np.array([path == _printable(path) for path in listing.images], bool)
    if safe.all():
        return listing
    unsafe = [Skipped(path, "has a name that is no UTF-8; rename it") for path in listing.images[~safe]]
    return replace(listing.take(np.flatnonzero(safe)), skipped=(*listing.skipped, *unsafe))


def _printable(text: str) -> str:
    """The text; the bytes of a file's name that are no UTF-8 are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _check_enough(source: str, listing: Listing) -> None:
    needed = 1 if listing.boxes is not None or listing.multi_label else 2
    if len(listing.classes) < needed:
        what = "one class to find" if needed == 1 else "two classes to tell apart"
        only = ", ".join(listing.classes) or "none"
        raise InputError(f"datasets: {source} needs at least {what}, found {only}.")


def _with_labels(source: str, listing: Listing, multi_label: bool | None) -> Listing:
    """The listing with single or several labels a picture, as asked."""
    if multi_label is not None and listing.target != "label":
        raise InputError(
            f"datasets.multi_label is set, but {source} has {_NOUNS[listing.target]}. Remove it, or set "
            "datasets.target to label."
        )
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
    boxes, masks = listing.boxes, listing.masks
    whole = Split(listing.kind, listing.images, listing.labels, listing.ids, odd, boxes, masks, listing.shards)
    return whole.take(indices)


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
    # Arrays, TensorFlow Datasets and lists of categories name classes that a part of the data need not hold.
    if empty and listing.kind == "path" and not listing.declared:
        raise InputError(
            f"datasets: no usable train picture of class {', '.join(empty)} in {source}. Add pictures or remove the "
            "class."
        )
    findings[clean.NO_PICTURES] += empty
    findings[clean.IMBALANCE] += clean.imbalance(counts, listing.classes)
