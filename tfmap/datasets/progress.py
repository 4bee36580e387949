"""A bar with an estimate for long work, where there is a terminal to show it on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def bar(text: str, total: float | None) -> Iterator[Callable[[float], None]]:
    """Show a bar while the block runs; it is gone afterwards.

    Args:
        text: what is done.
        total: how much there is to do, in any unit; None if nobody knows.

    Yields:
        a function that takes how much is done.
    """
    hidden = not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), disable=hidden, transient=True) as progress:
        task = progress.add_task(text, total=total)
        yield lambda done: progress.update(task, completed=done)
