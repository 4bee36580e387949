"""The findings on the screen."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfmap.doctor.findings import Findings, common_folder
from tfmap.runs import Run

COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


def show(found: Findings, run: Run, console: Console | None = None) -> None:
    """Print a row per kind of finding, and where the rest is."""
    console = console or Console(highlight=False)
    kinds = found.by_kind()
    below = common_folder([name for case in found.cases for name in case.pictures])
    if kinds:
        table = Table()
        table.add_column("", no_wrap=True)
        table.add_column("finding", no_wrap=True)
        table.add_column("cases", no_wrap=True, justify="right")
        table.add_column("the first", overflow="fold")
        for kind, cases in kinds.items():
            severity = Text(kind.severity, COLOURS[kind.severity])
            table.add_row(severity, kind.name, f"{len(cases):,}", Text(cases[0].text.replace(below, "")))
        console.print(table)
    else:
        console.print(f"Nothing to object to in {found.pictures:,} pictures.")
    _closing(found, run, console)


def _closing(found: Findings, run: Run, console: Console) -> None:
    console.print(f"The pictures: {run.file('doctor.html')}", soft_wrap=True, markup=False)
    listed = len(found.quarantine())
    if listed:
        path = run.file("quarantine.txt")
        text = f"To leave out what {path} lists ({listed:,}): datasets.exclude={path}"
        console.print(text, soft_wrap=True, markup=False)
