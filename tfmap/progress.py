"""A bar with an estimate for long work, where there is a terminal to show it on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def bar(text: str, total: float | None, *, worth: bool = True) -> Iterator[Callable[[float], None]]:
    """Show a bar while the block runs; it is gone afterwards.

    Args:
        text: what is done.
        total: how much there is to do, in any unit; None if nobody knows.
        worth: whether it takes long enough for a bar.

    Yields:
        a function that takes how much is done.
    """
    if not (worth and sys.stderr.isatty()):
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=total)
        yield lambda done: progress.update(task, completed=done)


def shown(items: Iterable[T], total: int, text: str, *, worth: bool = True) -> Iterator[T]:
    """The items, with a bar while they pass.

    Args:
        items: what is worked through.
        total: how many.
        text: what is done.
        worth: whether it takes long enough for a bar.
    """
    with bar(text, total, worth=worth) as show:
        for done, item in enumerate(items, 1):
            yield item
            show(done)
