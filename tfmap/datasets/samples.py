"""The data sets that come with the package: `sample:<name>`."""

from __future__ import annotations

from pathlib import Path

from tfmap.errors import InputError, did_you_mean

_FOLDER = Path(__file__).parent / "samples"


def names() -> list[str]:
    """The samples there are."""
    return sorted(path.name for path in _FOLDER.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))


def folder(name: str) -> Path:
    """The class folders of a sample.

    Raises:
        InputError: there is no such sample.
    """
    if name not in names():
        raise InputError(
            f"datasets: unknown sample {name!r}. Samples: {', '.join(names())}.{did_you_mean(name, names())}"
        )
    return _FOLDER / name
