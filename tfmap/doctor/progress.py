"""A progress bar with an estimate, where there is a terminal to show it on and it would be seen."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def shown(items: Iterable[T], total: int, text: str, *, worth: bool) -> Iterable[T]:
    """The items, with a bar while they pass.

    Args:
        items: what is worked through.
        total: how many.
        text: what is done.
        worth: whether it takes long enough for a bar.
    """
    if not worth or not sys.stderr.isatty():
        return items
    return track(items, text, total, console=Console(stderr=True))
