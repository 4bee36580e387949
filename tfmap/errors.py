"""The one error type for bad input, and the "did you mean" of its texts."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The user asked for something that cannot be done.

    The text says what is wrong, what was expected, what was received and what to do; the command line prints it as one
    line and exits with code 2. It is a ValueError, so Python users need not know it.
    """


class OverBudget(Exception):  # noqa: N818 (it is a verdict, not a fault of the program or of the user)
    """A file is further from its model than the budget allows; the command line exits with code 1."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped name: `" Did you mean 'flip'?"`, or nothing where no known name is close."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
