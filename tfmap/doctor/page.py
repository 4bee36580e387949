"""The findings as one HTML file that shows the pictures: no scripts, no network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tfmap.datasets.survey import Survey
from tfmap.doctor.findings import Finding, Findings, common_folder
from tfmap.doctor.pictures import thumbnail

MOST_CASES = 24  # of one kind; findings.json holds the rest
MOST_PICTURES = 6  # of one case
MOST_SIZES = 1000  # points in the plot of sizes, the most frequent
_HERE = Path(__file__).parent
_PLOT = (640, 300, 44)  # width, height, margin


def render(found: Findings, survey: Survey) -> str:
    """The page as HTML; every value from the data is escaped.

    Args:
        found: the findings.
        survey: the pictures that they are about.
    """
    # The report's style sheet: one look for all pages.
    loader = FileSystemLoader([_HERE, _HERE.parent / "report"])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    place = {name: index for index, name in enumerate(survey.listing.ids)}
    below = common_folder(list(place))
    return environment.get_template("page.html").render(
        found=found,
        severities=_severities(found),
        quarantined=len(found.quarantine()),
        kinds=[_kind(kind, cases, survey, place, below) for kind, cases in found.by_kind().items()],
        below=below,
        balance=_balance(found),
        parts=[part or "left out" for part in found.counts],
        sizes=_sizes(found.sizes),
    )


def _severities(found: Findings) -> list[tuple[str, int, str]]:
    severities = [case.kind.severity for case in found.cases]
    marks = {"error": "no", "warning": "", "note": ""}
    return [(name, severities.count(name), mark if name in severities else "yes") for name, mark in marks.items()]


def _kind(kind: Any, cases: list[Finding], survey: Survey, place: Mapping[str, int], below: str) -> dict[str, Any]:
    shown = [_case(case, survey, place, below) for case in cases[:MOST_CASES]]
    return {
        "kind": kind,
        "id": kind.name.replace(" ", "-"),
        "count": len(cases),
        "more": len(cases) - len(shown),
        "plain": [row for row in shown if not row["pictures"]],
        "cases": [row for row in shown if row["pictures"]],
    }


def _case(case: Finding, survey: Survey, place: Mapping[str, int], below: str) -> dict[str, Any]:
    names = [name for name in case.pictures[:MOST_PICTURES] if name in place]
    return {
        "text": case.text.replace(below, "") if below else case.text,
        "more": len(case.pictures) - len(names),
        "pictures": [
            {
                "id": name,
                "short": name[len(below) :],
                "image": thumbnail(survey.listing, place[name], case.boxes),
                "label": _label(survey, place[name]),
                "quarantined": name in case.quarantine,
            }
            for name in names
        ],
    }


def _label(survey: Survey, index: int) -> str:
    """Classes and part of a picture."""
    listing, label = survey.listing, survey.listing.labels[index]
    named = [listing.classes[k] for k in ([label] if not label.ndim else np.flatnonzero(label))]
    return ", ".join([*named, *([survey.parts[index]] if survey.parts[index] else [])])


def _balance(found: Findings) -> list[dict[str, Any]]:
    columns = list(found.counts.values())
    rows = [[int(counts[k]) for counts in columns] for k in range(len(found.classes))]
    largest = max((sum(row) for row in rows), default=0)
    return [
        {"class": name, "counts": row, "share": sum(row) / max(largest, 1)}
        for name, row in zip(found.classes, rows, strict=True)
    ]


def _sizes(sizes: Mapping[tuple[int, int], int]) -> dict[str, Any] | None:
    """Points and ticks of the plot of sizes: width against height in pixels, both on a logarithmic scale."""
    if not sizes:
        return None
    frequent = sorted(sizes.items(), key=lambda item: -item[1])[:MOST_SIZES]
    values = [side for size, _ in frequent for side in size]
    low, high = math.log2(min(values)) - 0.5, math.log2(max(values)) + 0.5
    width, height, margin = _PLOT

    def x(side: float) -> float:
        return round(margin + (math.log2(side) - low) / (high - low) * (width - 2 * margin), 1)

    def y(side: float) -> float:
        return round(height - margin - (math.log2(side) - low) / (high - low) * (height - 2 * margin), 1)

    ticks = [2**power for power in range(math.ceil(low), math.floor(high) + 1)]
    return {
        "width": width,
        "height": height,
        "margin": margin,
        "points": [
            {"x": x(w), "y": y(h), "r": round(2 + 2 * math.log10(count), 1), "text": f"{w} x {h}: {count:,}"}
            for (h, w), count in frequent
        ],
        "x": [(x(tick), tick) for tick in ticks],
        "y": [(y(tick), tick) for tick in ticks],
        "frequent": [f"{w} x {h} ({count:,})" for (h, w), count in frequent[:5]],
        "different": len(sizes),
    }
