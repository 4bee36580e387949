"""Pictures that occur more than once: byte for byte, or to the eye."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product

import numpy as np

from tfmap.datasets import clean
from tfmap.datasets.survey import Survey
from tfmap.doctor import findings, near, pictures
from tfmap.doctor.findings import Finding
from tfmap.doctor.pictures import Edges
from tfmap.progress import shown

# Of the 43 pairs of trashnet_256 whose hashes differ in at most 6 bits (equal files aside), 25 pass, and all 25 show
# one object twice, looked at one by one; of the 18 that do not, 3 do, moved in between. The best false one has 0.69.
ALIKE = 0.75
_NOISE = 5952.0  # squared steps of one grey level everywhere, which no plain picture has
_COLOUR = 64  # grey levels between the means; another exposure of one scene moved them by 38 at most
_MOST_EACH = 64  # pairs looked at between two sets of equal hashes
_BLOCK = 1024  # pairs compared at a time
_KINDS = {clean.CONFLICT: findings.CONFLICT, clean.LEAK: findings.LEAK, clean.COPY: findings.COPY}


def check(survey: Survey, *, distance: int) -> Iterator[Finding]:
    """Findings about copies.

    Args:
        survey: the pictures.
        distance: most bits that the perceptual hashes of near duplicates differ in.
    """
    yield from exact(survey)
    copies = {index for group in clean.same(survey.verdicts, survey.unusable) for index in group[1:]}
    singles = [index for index, verdict in enumerate(survey.verdicts) if verdict.hash and index not in copies]
    try:
        groups = near_groups(survey, np.array(singles, np.int64), distance)
    except near.TooManyPairs as error:
        yield Finding(findings.NOT_SEARCHED, str(error))
        return
    for group in groups:
        yield _near(survey, group.tolist())


def exact(survey: Survey) -> Iterator[Finding]:
    """Findings about pictures with equal bytes, as `load` judges them."""
    ids = survey.listing.ids
    for group in clean.same(survey.verdicts, survey.unusable):
        kind, left_out = clean.settle(survey.listing, group)
        yield Finding(_KINDS[kind], " = ".join(ids[group]), tuple(ids[group]), tuple(ids[left_out]))


def near_groups(survey: Survey, members: np.ndarray, distance: int) -> list[np.ndarray]:
    """Groups of pictures that look alike: hashes that differ in few bits, then edges that agree.

    Args:
        survey: the pictures.
        members: int64 (M,), those to compare; no two with equal bytes.
        distance: most bits.

    Returns:
        int64 arrays of two or more members each.
    """
    hashes = np.array([int(survey.verdicts[index].hash, 16) for index in members], np.uint64)
    candidates = _candidates(hashes, members, distance)
    pairs = [pair for pair, alike in zip(candidates, _confirmed(survey, candidates), strict=True) if alike]
    return near.groups(np.array(pairs, np.int64).reshape(-1, 2), len(survey.verdicts))


def _candidates(hashes: np.ndarray, members: np.ndarray, distance: int) -> list[tuple[int, int]]:
    """Pairs of pictures whose hashes are near; between two large sets of equal hashes, only some."""
    unique, inverse = np.unique(hashes, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    sets = np.split(members[order], np.cumsum(np.bincount(inverse, minlength=len(unique)))[:-1])
    # A set of equal hashes, however large (all-black pictures), is compared with its first member alone.
    found = [(int(same[0]), int(other)) for same in sets for other in same[1:]]
    for one, other in near.join(unique, distance):
        found += islice(product(sets[one].tolist(), sets[other].tolist()), _MOST_EACH)
    return found


def _confirmed(survey: Survey, pairs: list[tuple[int, int]]) -> Iterator[bool]:
    """Whether the edges of each pair agree."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        starts = range(0, len(pairs), _BLOCK)
        for start in shown(starts, len(starts), "Comparing pictures", worth=len(pairs) > _BLOCK):
            block = pairs[start : start + _BLOCK]
            wanted = sorted({index for pair in block for index in pair})
            edges = dict(zip(wanted, pool.map(lambda index: _edges(survey, index), wanted), strict=True))
            yield from (likeness(edges[one], edges[other]) >= ALIKE for one, other in block)


def _edges(survey: Survey, index: int) -> Edges | None:
    try:
        return pictures.edges(survey.listing, index)
    except Exception:  # the file went away since the scan; Pillow's plugins raise many errors
        return None


def likeness(one: Edges | None, other: Edges | None) -> float:
    """Correlation of two pictures' edges, -1 to 1; 0 where one could not be read or their colours are far apart.

    Two plain pictures of one colour, which have no edges, get 1.
    """
    if one is None or other is None or np.abs(one.colour - other.colour).max() > _COLOUR:
        return 0.0
    product_of_both = one.steps @ other.steps + _NOISE
    return float(product_of_both / np.sqrt((one.steps @ one.steps + _NOISE) * (other.steps @ other.steps + _NOISE)))


def _near(survey: Survey, group: list[int]) -> Finding:
    listing, names = survey.listing, tuple(survey.listing.ids[group])
    by_part = {
        part: [index for index in group if survey.parts[index] == part]
        for part in ("test", "val", "train")
        if part in survey.parts[group]
    }
    if len(by_part) > 1:
        text = "; ".join(f"{part}: {', '.join(listing.ids[indices])}" for part, indices in by_part.items())
        return Finding(findings.NEAR_LEAK, text, names, tuple(listing.ids[by_part.get("train", [])]))
    labels = {listing.labels[index].tobytes() for index in group}
    kind = findings.NEAR_CONFLICT if len(labels) > 1 else findings.NEAR
    return Finding(kind, " ~ ".join(names), names)
