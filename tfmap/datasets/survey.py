"""What a source holds before anything is left out: for those who want to see what `load` would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tfmap import signatures
from tfmap.datasets import assemble, detect, quarantine, splits
from tfmap.datasets.listing import Listing, objects
from tfmap.datasets.scan import Verdict, scan
from tfmap.datasets.settle import SIZE, in_pixels, settle
from tfmap.errors import InputError
from tfmap.source import Boxes, Masks, Source, Split


@dataclass(frozen=True)
class Survey:
    """Every picture of a source.

    Attributes:
        source: its name.
        listing: N pictures; its boxes in pixels of the upright picture, those included that `load` leaves out.
        verdicts: N verdicts of the scan.
        parts: object (N,): "train", "val" or "test" as `load` cuts them, or as the source says where load refuses it;
            "" for what load leaves out.
        refusals: why `load` refuses the source; nothing where it does not.
        unfit: picture -> why its mask cannot be used.
        findings: kind of finding -> lines, of what cannot be seen in `listing` any more (bad annotations).
    """

    source: str
    listing: Listing
    verdicts: Sequence[Verdict]
    parts: np.ndarray
    refusals: tuple[str, ...]
    unfit: Mapping[int, str] = field(default_factory=dict)
    findings: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def unusable(self) -> dict[int, str]:
        """Picture -> why it or its mask cannot be read."""
        broken = {index: verdict.reason for index, verdict in enumerate(self.verdicts) if verdict.reason}
        return {**broken, **self.unfit}


def survey(source: str, **options: Any) -> Survey:
    """Look at every picture of a source, also where `load` refuses it.

    Args:
        source: as for `load`.
        options: keywords of `load`.

    Raises:
        InputError: not even the pictures can be listed, or an option that load does not have or that is out of range.
        FileNotFoundError: the source is not there.
    """
    for name, value in options.items():
        signatures.key(f"datasets.{name}", "survey").check(value, "survey")
    settings = {name: key.default for name, key in signatures.keys("datasets").items()} | options
    splits.check_fractions(settings["val_fraction"], settings["test_fraction"])
    listing = _listed(source, settings)
    verdicts = scan(listing, source, settings["workers"], hashed=True)
    refusals, loaded = list(listing.faults), None
    settled, unfit, found = listing, {}, {}
    try:
        settled, unfit, found = settle(listing, verdicts, source, void=settings["void"], workers=settings["workers"])
        cut = ("target", "multi_label", "void", "val_fraction", "test_fraction", "seed", "workers")
        loaded = assemble.assemble(source, listing, verdicts=verdicts, **{name: settings[name] for name in cut})
    except InputError as error:
        refusals.append(str(error))
    parts = _parts(listing, loaded)
    lines = dict(listing.findings) | {SIZE: found.get(SIZE, ())}
    if listing.boxes is not None and listing.kind != "record":
        settled = replace(settled, boxes=replace(listing.boxes, boxes=in_pixels(listing, verdicts)))
    return Survey(source, settled, verdicts, parts, tuple(refusals), unfit, lines)


def _listed(source: str, settings: Mapping[str, Any]) -> Listing:
    """The listing, as `load` reads it."""
    columns = tuple(settings[name] for name in ("path_column", "label_column", "split_column", "label_separator"))
    where = {name: settings[name] for name in ("target", "data_dir", "download")}
    listing = detect.read(source, settings["format"], columns=columns, **where)
    if settings["exclude"] is not None:
        listing = quarantine.apply(listing, detect.root(source), settings["exclude"])
    return assemble.with_safe_names(listing)


def survey_loaded(source: Source) -> Survey:
    """The same of a Source; what `load` left out of it is gone, bar its reasons."""
    names = [name for name, split in source.splits.items() if len(split)]
    cut = [source.splits[name] for name in names]
    listing = Listing(
        cut[0].kind,
        _images(cut),
        np.concatenate([split.labels for split in cut]),
        np.concatenate([split.ids for split in cut]),
        objects([name for name, split in zip(names, cut, strict=True) for _ in range(len(split))]),
        source.classes,
        source.skipped,
        boxes=_boxes([split.boxes for split in cut]),
        masks=_masks([split.masks for split in cut]),
        shards=tuple(shard for split in cut for shard in split.shards),
    )
    return Survey(source.id, listing, scan(listing, source.id, hashed=True), listing.parts, ())


def _images(splits: list[Split]) -> np.ndarray:
    """The pictures of all splits, the places in shards counted on."""
    images, shards = [], 0
    for split in splits:
        images.append(split.images.copy() if split.kind == "record" else split.images)
        if split.kind == "record":
            images[-1]["shard"] += shards
            shards += len(split.shards)
    return np.concatenate(images)


def _boxes(tables: list[Boxes | None]) -> Boxes | None:
    if tables[0] is None:
        return None
    counts = np.concatenate([np.diff(table.starts) for table in tables])
    columns = ("boxes", "classes", "crowd", "difficult")
    rest = (np.concatenate([getattr(table, name) for table in tables]) for name in columns)
    return Boxes(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), *rest)


def _masks(tables: list[Masks | None]) -> Masks | None:
    if tables[0] is None:
        return None
    return Masks(np.concatenate([table.items for table in tables]), tables[0].reader)


def _parts(listing: Listing, loaded: Source | None) -> np.ndarray:
    if loaded is None:
        return np.where(listing.parts == "", "train", listing.parts)
    part_of = {name: part for part, split in loaded.splits.items() for name in split.ids}
    return objects([part_of.get(name, "") for name in listing.ids])
