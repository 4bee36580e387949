"""Leave out what would spoil training or the score: unreadable pictures, copies, contradictions, leaks.

- Unreadable: left out.
- The same picture under two labels: one label is wrong and nobody can tell which, so every copy is left out.
- A copy in another given part: kept in test before val before train, left out of the others.
- A copy in the same part: the first is kept.

Val and test parts that the user gave are never thinned for copies and contradictions among their own pictures, so that
a score on a published test set stays comparable; those are only listed. "The same" means equal bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from tfmap.datasets.listing import Listing
from tfmap.datasets.scan import Verdict
from tfmap.source import Skipped

Findings = dict[str, list[str]]

UNREADABLE = "unreadable"
CONFLICT = "same picture under two labels"
LEAK = "same picture in two parts"
COPY = "exact duplicates"
IMBALANCE = "imbalance"
NO_PICTURES = "class without pictures"

_IMBALANCE_FROM = 3.0  # largest class / smallest class
_RANK = {"test": 0, "val": 1, "train": 2, "": 2}


def clean(listing: Listing, verdicts: Sequence[Verdict]) -> tuple[np.ndarray, list[Skipped], Findings]:
    """Decide which pictures stay.

    Args:
        listing: N pictures.
        verdicts: N verdicts of the scan.

    Returns:
        bool (N,) of those that stay; those that do not, with reasons; findings by kind.
    """
    findings: Findings = defaultdict(list)
    reasons = {index: verdict.reason for index, verdict in enumerate(verdicts) if verdict.reason}
    for index, reason in reasons.items():
        findings[UNREADABLE].append(f"{listing.ids[index]}: {reason}")
    for group in same(verdicts):
        kind, left_out = settle(listing, group)
        findings[kind].append(" = ".join(listing.ids[index] for index in group))
        reasons |= {index: f"{kind}: {_others(listing, group, index)}" for index in left_out}
    keep = np.ones(len(listing), bool)
    keep[list(reasons)] = False
    return keep, [Skipped(listing.ids[index], reasons[index]) for index in sorted(reasons)], findings


def imbalance(counts: np.ndarray, classes: Sequence[str], what: str = "pictures") -> list[str]:
    """A line where the largest class has at least three times the pictures of the smallest.

    Args:
        counts: int (K,), pictures per class.
        classes: K names.
        what: was counted.
    """
    small, large = int(np.argmin(counts)), int(np.argmax(counts))
    if counts[large] < _IMBALANCE_FROM * counts[small]:
        return []
    ratio = f"{counts[large] / counts[small]:.1f} times" if counts[small] else "against"
    return [f"{classes[large]} has {counts[large]} {what}, {ratio} {classes[small]} with {counts[small]}"]


def same(verdicts: Sequence[Verdict]) -> Iterator[list[int]]:
    """Indices of readable pictures with equal content, two or more at a time."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, verdict in enumerate(verdicts):
        if not verdict.reason:
            groups[verdict.digest].append(index)
    return (group for group in groups.values() if len(group) > 1)


def settle(listing: Listing, group: list[int]) -> tuple[str, list[int]]:
    """What a group of equal pictures is (CONFLICT, LEAK or COPY), and which of them are left out."""
    given = [index for index in group if listing.parts[index] in ("val", "test")]
    if len({listing.labels[index].tobytes() for index in group}) > 1:
        return CONFLICT, [index for index in group if index not in given]
    best = min(_RANK[listing.parts[index]] for index in group)
    weaker = [index for index in group if _RANK[listing.parts[index]] > best]
    if weaker:
        return LEAK, weaker
    return COPY, [] if given else group[1:]


def _others(listing: Listing, group: list[int], index: int) -> str:
    return ", ".join(listing.ids[other] for other in group if other != index)
