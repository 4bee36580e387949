"""Patterns of layer names, such as "conv_pw_1*"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from tfmap.errors import InputError, did_you_mean


def among(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name matches one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def check(pattern: str, names: Sequence[str], what: str) -> None:
    """Check that a pattern means something.

    Args:
        pattern: of layer names.
        names: those it may match.
        what: describes them, such as "that can be pruned".

    Raises:
        InputError: no name matches.
    """
    if not any(among(name, [pattern]) for name in names):
        raise InputError(
            f"compress: no layer {what} matches {pattern!r}. Layers: {', '.join(names) or 'none'}."
            f"{did_you_mean(pattern, names)}"
        )
