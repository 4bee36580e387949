"""Checks of single files: can they be read, and are they what they seem?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

from PIL import Image

from tfmap import pixels
from tfmap.datasets import annotations, settle
from tfmap.datasets.scan import Verdict
from tfmap.datasets.survey import Survey
from tfmap.doctor import findings
from tfmap.doctor.findings import Finding, Kind

PLAIN = ("RGB", "L")  # modes that are read as they are
_FAMILIES = {"MPO": "JPEG", "DIB": "BMP"}


def check(survey: Survey, *, smallest: int, largest: float, aspect: float) -> Iterator[Finding]:
    """Findings about single files.

    Args:
        survey: the pictures.
        smallest: a shorter side is tiny, in pixels.
        largest: more is huge, in megapixels.
        aspect: a larger ratio of the sides is absurd.
    """
    for skipped in survey.listing.skipped:
        yield Finding(findings.SKIPPED, f"{skipped.path} {skipped.reason}")
    for kind, named in {findings.ANNOTATION: annotations.BAD, findings.ANNOTATED_SIZE: settle.SIZE}.items():
        yield from (Finding(kind, line) for line in survey.findings.get(named, ()))
    for name, verdict in zip(survey.listing.ids, survey.verdicts, strict=True):
        if verdict.reason:
            yield _unreadable(name, verdict)
            continue
        for kind, text in _odd(name, verdict, smallest, largest, aspect):
            yield Finding(kind, f"{name} {text}", (name,))


def _unreadable(name: str, verdict: Verdict) -> Finding:
    kind = findings.UNREADABLE
    if verdict.reason.startswith(pixels.BOMB):
        kind = findings.BOMB
    elif "truncated" in verdict.reason:
        kind = findings.TRUNCATED
    return Finding(kind, f"{name}: {verdict.reason}", (name,), (name,))


def _odd(name: str, verdict: Verdict, smallest: int, largest: float, aspect: float) -> Iterator[tuple[Kind, str]]:
    """(kind, what the line says after the picture's name)."""
    height, width = verdict.height, verdict.width
    size = f"is {width} x {height} pixels"
    if _misnamed(name, verdict.format):
        yield findings.EXTENSION, f"is a {verdict.format} file"
    if min(height, width) < smallest:
        yield findings.TINY, size
    if height * width > largest * 1e6:
        yield findings.HUGE, size
    if max(height, width) > aspect * min(height, width):
        yield findings.ASPECT, size
    if verdict.mode not in PLAIN:
        yield findings.MODE, f"is of mode {verdict.mode}"
    if verdict.orientation != 1:
        yield findings.ROTATED, f"has EXIF orientation {verdict.orientation}"


def _misnamed(name: str, format: str) -> bool:
    """Whether a file's ending says another format than its content; an unknown ending says nothing."""
    said = _endings().get(os.path.splitext(name)[1].lower())
    return bool(format) and said is not None and _FAMILIES.get(said, said) != _FAMILIES.get(format, format)


@cache
def _endings() -> dict[str, str]:
    return Image.registered_extensions()
