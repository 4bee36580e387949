"""One file from another machine, whole or not at all; what was cut goes on where it stopped."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Protocol, TypeVar

import tfmap
from tfmap.errors import InputError
from tfmap.progress import bar
from tfmap.runs import replacing

T = TypeVar("T")
_TRIES = 4  # connections in a row that bring nothing new
_PAUSE = 0.5  # seconds before the second; twice as long before each further one
_TIMEOUT = 30  # seconds without a byte
_BLOCK = 1 << 20
_CUT = (http.client.HTTPException, ConnectionError, TimeoutError, urllib.error.URLError)


@dataclass(frozen=True)
class Stamp:
    """What tells one state of a file from another.

    Attributes:
        size: in bytes, None if the server does not say.
        tag: changes with the content; "" if the server does not say.
    """

    size: int | None
    tag: str


class Remote(Protocol):
    """A file that can be read from any byte on."""

    url: str

    def open(self, offset: int, stamp: Stamp | None) -> AbstractContextManager[tuple[IO[bytes], int, Stamp]]:
        """Yields a stream, the byte that it begins at (`offset`, or 0 if it has to), and the file's stamp."""


class Web:
    """A file on http or https."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Letters that a URL may not hold, as a browser writes them; what is quoted already stays.
        self._quoted = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")

    @contextmanager
    def open(self, offset: int, stamp: Stamp | None) -> Iterator[tuple[IO[bytes], int, Stamp]]:
        """See Remote.

        Raises:
            InputError: the server refuses.
            OSError: it cannot be reached; worth another try.
        """
        headers = {"User-Agent": f"tfmap/{tfmap.__version__}"}
        if offset and stamp and stamp.tag:
            # A range of the file that we know, or else the whole of the new one.
            headers |= {"Range": f"bytes={offset}-", "If-Range": stamp.tag}
        try:
            response = urllib.request.urlopen(urllib.request.Request(self._quoted, headers=headers), timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= 500:  # an overloaded server may recover
                raise ConnectionError(f"the server answered {error.code} {error.reason}") from error
            raise InputError(f"datasets: {self.url}: the server answered {error.code} {error.reason}.") from error
        with response:
            tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
            yield response, offset if response.status == 206 else 0, Stamp(_size(response.headers), tag)


def _size(headers: Mapping[str, str]) -> int | None:
    """Bytes of the whole file: behind the slash of Content-Range where only a part comes."""
    said = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
    return int(said) if said.isdecimal() else None


def file(remote: Remote, target: Path) -> Path:
    """Fetch a file to `target`, unless the same is there.

    Raises:
        InputError: it cannot be fetched. What has come is kept for the next time.
    """
    part, known = target.with_name("part"), _read(target.with_name("stamp.json"))
    stamp = _persist(remote, part, lambda: _stamp(remote))
    if stamp != known:
        target.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
        with replacing(target.with_name("stamp.json")) as temporary:
            temporary.write_text(json.dumps(asdict(stamp)), encoding="utf-8")
    if not target.exists():
        with bar(f"Fetching {target.name}", stamp.size) as show:
            _persist(remote, part, lambda: _go_on(remote, part, stamp, show))
        os.replace(part, target)
    return target


def _persist(remote: Remote, part: Path, step: Callable[[], T]) -> T:
    """Try again for as long as each connection brings something new."""
    best, idle = -1, 0
    while True:
        try:
            return step()
        except _CUT as error:
            here = part.stat().st_size if part.exists() else 0
            idle = idle + 1 if here <= best else 1
            best = max(best, here)
            if idle >= _TRIES:
                reason = getattr(error, "reason", None) or error
                raise InputError(
                    f"datasets: {remote.url} cannot be fetched: {reason}. {here:,} bytes have come and are kept; the "
                    "same command tries again."
                ) from error
            time.sleep(_PAUSE * 2 ** (idle - 1))


def _stamp(remote: Remote) -> Stamp:
    with remote.open(0, None) as (_, _, stamp):
        return stamp


def _go_on(remote: Remote, part: Path, stamp: Stamp, show: Callable[[float], None]) -> None:
    """Read the rest of a file in one connection."""
    offset = part.stat().st_size if part.exists() else 0
    if stamp.size is not None and offset == stamp.size:
        return
    with remote.open(offset, stamp) as (stream, start, now):
        if now != stamp:
            part.unlink(missing_ok=True)
            raise InputError(f"datasets: {remote.url} changed while it was being fetched. Run the same command again.")
        with open(part, "ab" if start else "wb") as kept:
            while block := stream.read(_BLOCK):
                kept.write(block)
                show(kept.tell())
            here = kept.tell()
    if stamp.size is not None and here != stamp.size:
        raise ConnectionError(f"the connection ended at byte {here:,} of {stamp.size:,}")


def _read(path: Path) -> Stamp | None:
    try:
        return Stamp(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
