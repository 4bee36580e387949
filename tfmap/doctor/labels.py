"""Checks of labels: how many pictures a class has, and whether two names mean one class."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np

from tfmap.datasets import clean
from tfmap.datasets.survey import Survey
from tfmap.doctor import findings
from tfmap.doctor.findings import Finding

_SHORTEST = 6  # letters; glass and grass differ in one and mean two things


def counts(survey: Survey) -> dict[str, np.ndarray]:
    """Part -> int (K,): pictures per class. "" is for what can be read but is left out by load."""
    readable = np.array([not verdict.reason for verdict in survey.verdicts], bool)
    found = {}
    for part in ("train", "val", "test", ""):
        labels = survey.listing.labels[readable & (survey.parts == part)]
        if len(labels):
            one = np.bincount(labels, minlength=len(survey.listing.classes)) if labels.ndim == 1 else labels.sum(axis=0)
            found[part] = one.astype(np.int64)
    return found


def check(survey: Survey) -> Iterator[Finding]:
    """Findings about the classes."""
    for refusal in survey.refusals:
        yield Finding(findings.REFUSED, refusal)
    classes, per_part = survey.listing.classes, counts(survey)
    total = sum(per_part.values(), np.zeros(len(classes), np.int64))
    for name, count in zip(classes, total, strict=True):
        if not count:
            yield Finding(findings.NO_PICTURES, f"class {name!r} has no picture that can be read")
    if (total > 0).sum() > 1:
        present = np.flatnonzero(total)
        lines = clean.imbalance(total[present], [classes[index] for index in present])
        yield from (Finding(findings.IMBALANCE, line) for line in lines)
    for part in ("train", "val", "test"):
        for index in np.flatnonzero((total > 0) & (per_part[part] == 0)) if part in per_part else ():
            yield Finding(findings.MISSING, f"class {classes[index]!r} has no picture in {part}")
    yield from _alike(classes)


def _alike(classes: Sequence[str]) -> Iterator[Finding]:
    plain = {name: re.sub(r"[\s_.-]+", "", name).casefold() for name in classes}
    for one, other in _sharing(classes, lambda name: {plain[name]}):
        yield Finding(findings.TYPO, f"{one!r} and {other!r} differ in case, spaces or signs alone")
    for one, other in _sharing(classes, lambda name: _shortened(plain[name])):
        if plain[one] != plain[other] and re.findall(r"\d+", one) == re.findall(r"\d+", other):
            yield Finding(findings.TYPO, f"{one!r} and {other!r} are spelt almost alike")


def _sharing(classes: Sequence[str], traits: Callable[[str], set[str]]) -> list[tuple[str, str]]:
    """Pairs of names that have a trait in common."""
    having: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        for trait in traits(name):
            having[trait].append(name)
    return sorted({pair for names in having.values() for pair in combinations(names, 2)})


def _shortened(name: str) -> set[str]:
    """A name and what it becomes without one letter: two names that share one are a slip of the pen apart.

    A short name loses a plural's s alone.
    """
    if len(name) < _SHORTEST:
        return {name, name.removesuffix("s")}
    return {name} | {name[:place] + name[place + 1 :] for place in range(len(name))}
