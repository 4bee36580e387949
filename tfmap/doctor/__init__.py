"""Data -> what is wrong with it. `python -m tfmap.doctor SOURCE [datasets.key=value ...] [doctor.key=value ...]`.

It only looks: no file of the user is moved or changed. Each check stands in a module named after what it looks at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tfmap.checked import checked
from tfmap.errors import InputError

if TYPE_CHECKING:
    from tfmap.datasets.survey import Survey
    from tfmap.doctor.findings import Finding, Findings
    from tfmap.runs import Run
    from tfmap.source import Source


@checked("doctor")
def examine(
    source: str | Source,
    *,
    datasets: dict | None = None,
    smallest: int = 32,
    largest: float = 50.0,
    aspect: float = 10.0,
    distance: int = 6,
    model: str | None = None,
) -> Findings:
    """Look at every picture, label, box and mask of a data set, and tell what is wrong.

    Args:
        source: what `datasets.load` takes, or what it returned; what load leaves out is only seen in the first.
        datasets: further keywords of `datasets.load`, for a source that is a name or a path.
        smallest: a picture with a shorter side is tiny, in pixels.
        largest: a picture with more is huge, in megapixels.
        aspect: a larger ratio of the sides of a picture or a box is absurd.
        distance: bits of 64 in which the perceptual hashes of near duplicates may differ, 0 to 16; each further bit
            costs the join more time (a million pictures take seconds at 4, half a minute at 6, minutes at 8).
        model: a run folder or a .keras file; its classifier finds likely label errors (needs tfmap[labels]).

    Returns:
        Findings: every case, errors first.

    Raises:
        InputError: a setting out of range, or a source whose pictures cannot even be listed.
        FileNotFoundError: the source or the model is not there.
    """
    from tfmap.datasets.survey import survey, survey_loaded

    _check(smallest, largest, aspect, distance)
    seen = survey(source, **(datasets or {})) if isinstance(source, str) else survey_loaded(source)
    return gather(seen, smallest=smallest, largest=largest, aspect=aspect, distance=distance, model=model)


def gather(
    survey: Survey, *, smallest: int, largest: float, aspect: float, distance: int, model: str | None = None
) -> Findings:
    """Run every check over a survey; see `examine`."""
    from collections import Counter

    from tfmap.doctor import findings, labels

    limits = {"smallest": smallest, "largest": largest, "aspect": aspect, "distance": distance}
    cases = sorted(_cases(survey, limits, model), key=lambda case: findings.KINDS.index(case.kind))
    sizes = Counter((verdict.height, verdict.width) for verdict in survey.verdicts if not verdict.reason)
    listing = survey.listing
    return findings.Findings(
        survey.source, listing.classes, labels.counts(survey), dict(sizes), len(listing), tuple(cases)
    )


def _cases(survey: Survey, limits: dict[str, Any], model: str | None) -> Iterator[Finding]:
    from tfmap.doctor import boxes, copies, files, labels, masks, suspects

    yield from files.check(survey, **{name: limits[name] for name in ("smallest", "largest", "aspect")})
    yield from labels.check(survey)
    yield from boxes.check(survey, aspect=limits["aspect"])
    yield from masks.check(survey)
    yield from copies.check(survey, distance=limits["distance"])
    if model is not None:
        yield from suspects.check(survey, model)


def _check(smallest: int, largest: float, aspect: float, distance: int) -> None:
    from tfmap.doctor import near

    rules = {
        "smallest": (smallest, smallest >= 1, "at least 1"),
        "largest": (largest, largest > 0, "above 0"),
        "aspect": (aspect, aspect >= 1, "at least 1"),
        "distance": (distance, 0 <= distance <= near.LARGEST_DISTANCE, f"from 0 to {near.LARGEST_DISTANCE}"),
    }
    for name, (value, holds, expected) in rules.items():
        if not holds:
            raise InputError(f"doctor.{name} must be {expected}, received {value}.")


def command(config: dict[str, Any], run: Run) -> None:
    """Examine a source; leaves findings.json, doctor.html and quarantine.txt in the run folder.

    The exit code is 0 with findings too: they are an answer, not a failure.
    """
    from tfmap.datasets.survey import survey
    from tfmap.doctor import page, quarantine, table

    options = {"seed": config["seed"], **config["datasets"]}
    settings = {name: key.default for name, key in _keys().items()} | config["doctor"]
    _check(*(settings[name] for name in ("smallest", "largest", "aspect", "distance")))
    seen = survey(options.pop("source"), **options)
    found = gather(seen, **settings)
    run.write_json("findings.json", found.as_json())
    run.write_text("doctor.html", page.render(found, seen))
    run.write_text("quarantine.txt", quarantine.text(found))
    table.show(found, run)


def _keys() -> dict[str, Any]:
    from tfmap import signatures

    return signatures.keys("doctor")
