"""Where a benchmark's figures go: a table on the screen and a JSON file that names the machine."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path(__file__).parent / "results"


def machine() -> str:
    """The processor and how much of it there is."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    except OSError:
        name = platform.processor() or platform.machine()
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {platform.system()}, Python {platform.python_version()}"


def write(name: str, title: str, rows: list[dict], **more: object) -> None:
    """Print rows as a table and write them with the machine to results/<name>.json."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns, title=title, caption=machine())
    for row in rows:
        table.add_row(*(f"{row.get(c):.4g}" if isinstance(row.get(c), float) else str(row.get(c, "")) for c in columns))
    Console(width=140).print(table)
    FOLDER.mkdir(exist_ok=True)
    content = {"title": title, "machine": machine(), "rows": rows, **more}
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
