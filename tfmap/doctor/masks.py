"""Checks of masks: does each fit its picture, and are its values classes?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tfmap.datasets.settle import MASK_SIZE, MASK_VALUE
from tfmap.datasets.survey import Survey
from tfmap.doctor import findings
from tfmap.doctor.findings import Finding, Kind
from tfmap.progress import shown

IGNORED = 255
_BLOCK = 1024  # masks handed to the threads at a time


def check(survey: Survey) -> Iterator[Finding]:
    """Findings about masks; without masks there is nothing to find, and about objects their boxes tell the rest."""
    if survey.listing.target == "instances":
        for index in sorted(survey.unfit):
            yield _finding(survey.listing.ids[index], *_unfit(survey.unfit[index]))
    elif survey.listing.masks is not None:
        yield from _of_classes(survey)


def _of_classes(survey: Survey) -> Iterator[Finding]:
    used = np.zeros(256, bool)
    for index, (values, found) in enumerate(_read(survey)):
        used[values] = True
        name = survey.listing.ids[index]
        found = [_unfit(survey.unfit[index])] if index in survey.unfit else found
        for kind, text in found:
            yield _finding(name, kind, text)
    for index, name in enumerate(survey.listing.classes):
        if not used[index]:
            yield Finding(findings.NO_PICTURES, f"class {name!r} has no pixel in any mask")


def _finding(name: str, kind: Kind, text: str) -> Finding:
    return Finding(kind, f"{name}: {text}", (name,), (name,) if kind.rule else ())


def _unfit(reason: str) -> tuple[Kind, str]:
    """What made `load` leave a mask out."""
    kinds = {MASK_SIZE: findings.OTHER_SIZE, MASK_VALUE: findings.UNKNOWN_VALUE}
    return next((kind for fault, kind in kinds.items() if fault in reason), findings.NO_MASK), reason


def _read(survey: Survey) -> Iterator[tuple[np.ndarray, list[tuple[Kind, str]]]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        starts = range(0, len(survey.listing), _BLOCK)
        for start in shown(starts, len(starts), "Looking at every mask once", worth=len(starts) > 1):
            block = range(start, min(start + _BLOCK, len(survey.listing)))
            yield from pool.map(lambda index: judge(survey, index), block)


def judge(survey: Survey, index: int) -> tuple[np.ndarray, list[tuple[Kind, str]]]:
    """The values of one mask, and (kind, text) of what is wrong with it."""
    try:
        mask = survey.listing.masks.read(index)
    except (OSError, ValueError) as error:
        return np.empty(0, np.int64), [(findings.NO_MASK, " ".join(str(error).split()))]
    values, classes, verdict = np.unique(mask), len(survey.listing.classes), survey.verdicts[index]
    found = []
    if not verdict.reason and mask.shape != (verdict.height, verdict.width):
        sizes = f"{mask.shape[1]} x {mask.shape[0]} pixels on a picture of {verdict.width} x {verdict.height}"
        found.append((findings.OTHER_SIZE, sizes))
    unknown = [int(value) for value in values if value >= classes and value != IGNORED]
    if unknown:
        text = f"values {', '.join(map(str, unknown[:8]))}; known are 0 to {classes - 1}, and 255 for ignored"
        found.append((findings.UNKNOWN_VALUE, text))
    if not np.any((values != 0) & (values != IGNORED)):
        what = "nothing but class 0" if 0 in values else "only ignored pixels"
        found.append((findings.EMPTY_MASK, f"{what}{' and ignored pixels' if values.size > 1 else ''}"))
    return values, found
