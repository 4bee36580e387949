"""Stage: a run folder -> report.html, one file that needs no network. `python -m tfmap.report RUN`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfmap.runs import Run


def report(run: Run | str | Path) -> Path:
    """Write report.html from whatever the stages have left in a run folder.

    A section is there when its file is: a run that has only been trained gets its learning curves, data, config and
    versions; evaluate adds scores, curves and mistakes; compress, export and verify add what they measured.

    Args:
        run: the run folder.

    Returns:
        the path of report.html: one file, no scripts, no network.

    Raises:
        FileNotFoundError: no such run, or it has no model.keras.
        InputError: not a run folder, or one of its files is broken.
    """
    from tfmap import config as configs
    from tfmap.report import page
    from tfmap.runs import Run

    run = run if isinstance(run, Run) else Run.existing(run)
    config = configs.read(run.need("config.yaml"))
    return run.write_text("report.html", page.render(page.collect(run, config)))


def command(config: Mapping[str, Any], run: Run) -> None:
    """Write a run's report.html and say where it is.

    Args:
        config: the sections of a config; the report shows the run's own.
        run: the run folder.
    """
    from rich.console import Console

    path = report(run)
    Console(highlight=False, soft_wrap=True).print(f"{path}  {path.stat().st_size / 1e6:.1f} MB", markup=False)
