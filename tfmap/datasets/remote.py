"""Sources on other machines: fetched into the user's cache, then read from there like any other.

    https://…/flowers.zip        a file; a download that was cut goes on where it stopped, if the server can
    gs://bucket/flowers          a file or a folder, by fsspec; of a folder, only what has changed is fetched again
    s3://…  memory://…  file://…

https goes through Python's own urllib: fsspec's does not say when a server ignores the range that it was asked for.
"""

from __future__ import annotations

import urllib.parse
from pathlib import Path

from tfmap import caches
from tfmap.datasets import archives
from tfmap.datasets.scan import digest
from tfmap.errors import InputError, did_you_mean

SCHEMES = ("http", "https", "gs", "gcs", "s3", "memory", "file")
_FILES = (*archives.SUFFIXES, ".npz")  # what a single remote file can be


def matches(source: str) -> bool:
    """Whether a source is a URL."""
    return "://" in source


def check(url: str) -> None:
    """Refuse what cannot be fetched, without asking the network.

    Raises:
        InputError: an unknown scheme, or a page of the web that is no archive.
    """
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise InputError(
            f"datasets.source: {url} has an unknown scheme. Known: {known}.{did_you_mean(scheme, SCHEMES)}"
        )
    if scheme.startswith("http"):
        _check_file(url)


def fetch(url: str) -> Path:
    """The file or folder at a URL, on this machine.

    Raises:
        InputError: it cannot be fetched; the text says why, and what to do.
        FileNotFoundError: nothing is there.
    """
    check(url)
    scheme, _, rest = url.partition("://")
    if scheme == "file":
        return Path(urllib.parse.unquote(rest))
    place = caches.folder("remote") / digest(url.encode(errors="surrogateescape"))
    with caches.locked(place, wait=True):
        if scheme.startswith("http"):
            from tfmap.datasets import download

            return download.file(download.Web(url), place / _name(url))
        from tfmap.datasets import buckets

        return buckets.fetch(url, place / _name(url), _check_file)


def _check_file(url: str) -> None:
    if not _name(url).lower().endswith(_FILES):
        raise InputError(
            f"datasets.source: {url} is a single file, expected one that ends in {', '.join(_FILES)}. Put the data in "
            "an archive, or give a folder on gs:// or s3://."
        )


def _name(url: str) -> str:
    """The last part of a URL's path."""
    return urllib.parse.unquote(urllib.parse.urlsplit(url).path.rstrip("/").rpartition("/")[2]) or "root"
