"""Archives as sources: unpacked once, into the user's cache, by rules that no archive can bend.

An archive comes from somebody else, so nothing in it is believed: every member's name and kind is checked when it
comes, and sizes are those that are really written, because headers lie. One bad member refuses the whole archive, and
nothing of it is kept.
"""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tfmap import caches
from tfmap.datasets.scan import digest
from tfmap.errors import InputError
from tfmap.progress import bar

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MOST_MEMBERS = 5_000_000
MOST_BYTES = 1 << 40
MOST_RATIO = 200  # unpacked bytes for each byte of the archive: pictures stay below 2, runs of zeros reach 1,000
_SMALL = 64 << 20  # unpacked bytes below which no ratio does harm
_DEEPEST = 100  # folders inside each other: Python's own functions for trees recurse
_BLOCK = 1 << 20  # bytes read at a time; no header of a tar file may be longer, as it is read into memory
_JUNK = "__MACOSX"  # where macOS puts a shadow of each file


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: its path inside.
        fault: why it cannot be taken, "" if it can.
        folder: whether it is a folder.
        open: gives its content.
    """

    name: str
    fault: str
    folder: bool
    open: Callable[[], IO[bytes]]


def matches(path: Path) -> bool:
    """Whether a file is an archive, by its name."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def unpack(path: Path) -> Path:
    """The folder with the content of an archive, or the one folder that is all of it.

    It is kept in the user's cache by the archive's path, size and time of change.

    Raises:
        InputError: the archive is broken, or holds what it should not: a name that leads outside, is no UTF-8 or comes
            twice; a link or a device; too many members, too many bytes, or far more bytes than the archive has.
    """
    status = path.stat()
    stamp = f"{os.path.abspath(path)}:{status.st_size}:{status.st_mtime_ns}"
    folder = caches.folder("archives") / digest(stamp.encode(errors="surrogateescape"))
    if not folder.is_dir():
        with _whole(folder) as temporary:
            _unpack(path, temporary)
    inside = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def name_fault(name: str) -> str:
    """Why a path may not be made below a folder, "" if it may."""
    if any("\udc80" <= sign <= "\udcff" for sign in name):
        return "has a name that is not UTF-8"
    if any(sign < " " or sign == "\x7f" for sign in name):
        return "has a control character in its name"
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        return "has an absolute path"
    if "\\" in name:
        return "has a backslash in its name"
    parts = name.split("/")
    if ".." in parts:
        return "leads outside"
    if any(len(part.encode()) > 255 for part in parts):
        return "has a name longer than 255 bytes"
    if len(parts) > _DEEPEST:
        return f"lies more than {_DEEPEST} folders deep"
    return "" if name.strip("/") else "has no name"


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder that appears under its name when the block succeeds, or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield temporary
        if not folder.is_dir():  # another process may have been faster
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack(path: Path, target: Path) -> None:
    read = _zip_members if path.name.lower().endswith(".zip") else _tar_members
    size, count, written = path.stat().st_size, 0, 0
    try:
        with open(path, "rb") as file, bar(f"Unpacking {path.name}", size) as show:
            for count, member in enumerate(read(file, path), 1):
                _check(path, member, count)
                for block in _write(path, member, target):
                    written += block
                    _check_bytes(path, size, written)
                show(file.tell())
    except Exception as error:  # these parsers raise whatever they stumble over
        if isinstance(error, InputError) or getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise  # ours, and a full disk; a place that no file has, EINVAL, is one that the archive names
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"datasets: {path} cannot be unpacked: {reason}. Fetch it again, or make it anew.") from error


def _check(path: Path, member: Member, count: int) -> None:
    if member.fault:
        raise _refusal(path, member, member.fault)
    if count > MOST_MEMBERS:
        raise InputError(f"datasets: {path} holds more than {MOST_MEMBERS:,} members; it was not unpacked.")


def _check_bytes(path: Path, size: int, written: int) -> None:
    if written > MOST_BYTES:
        raise InputError(f"datasets: {path} holds more than {MOST_BYTES:,} bytes; it was not unpacked.")
    if written > max(_SMALL, MOST_RATIO * size):
        raise InputError(
            f"datasets: {path} looks like a bomb: its {size:,} bytes unpack to more than {written:,}. It was not "
            "unpacked. If it is what you want, unpack it yourself and give the folder."
        )


def _refusal(path: Path, member: Member, fault: str) -> InputError:
    name = member.name.encode("utf-8", "backslashreplace").decode()
    return InputError(f"datasets: {path} was not unpacked: its member {name!r} {fault}.")


def _write(path: Path, member: Member, target: Path) -> Iterator[int]:
    """Write a member; yields the number of bytes of each block, before it is written."""
    if member.name.split("/")[0] == _JUNK:
        yield from _skip(member)
        return
    place = target / member.name
    try:
        (place if member.folder else place.parent).mkdir(parents=True, exist_ok=True)
        if member.folder:
            return
        with member.open() as content, open(place, "xb") as file:
            while block := content.read(_BLOCK):
                yield len(block)
                file.write(block)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _refusal(path, member, "comes twice, or as a file and as a folder") from None


def _skip(member: Member) -> Iterator[int]:
    """Read a member to no end but to count it: in a .tar.gz one cannot pass it by."""
    if not member.folder:
        with member.open() as content:
            while block := content.read(_BLOCK):
                yield len(block)


def _zip_members(file: IO[bytes], path: Path) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(file)
    except UnicodeDecodeError:
        raise InputError(f"datasets: {path} was not unpacked: the name of a member is not UTF-8.") from None
    for info in archive.infolist():
        name = _zip_name(info)
        kind = stat.S_IFMT(info.external_attr >> 16)
        fault = name_fault(name) or ("" if kind in (0, stat.S_IFREG, stat.S_IFDIR) else _special(stat.S_ISLNK(kind)))
        fault = fault or ("is encrypted" if info.flag_bits & 1 else "")
        yield Member(name, fault, name.endswith("/"), lambda info=info: archive.open(info))


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name; bytes that are not UTF-8 as surrogates, as `os.fsdecode` has them."""
    if info.flag_bits & 0x800:  # it says that it is UTF-8
        return info.orig_filename
    return info.orig_filename.encode("cp437").decode("utf-8", "surrogateescape")


def _tar_members(file: IO[bytes], path: Path) -> Iterator[Member]:
    plain = path.name.lower().endswith(".tar")
    content = _Bounded(file if plain else gzip.GzipFile(fileobj=file), path)
    with tarfile.open(fileobj=content, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
        for info in archive:
            fault = name_fault(info.name) or ("" if info.isreg() or info.isdir() else _special(info.linkname != ""))
            yield Member(info.name, fault, info.isdir(), lambda info=info: archive.extractfile(info))
        end = archive.offset
    content.check_end(end)


def _special(link: bool) -> str:
    return "is a link" if link else "is a device, a pipe or the like"


class _Bounded:
    """A file that tarfile reads from, which will not read a header of gigabytes into memory."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > _BLOCK:
            raise InputError(f"datasets: {self._path} was not unpacked: it has a header of {size:,} bytes.")
        return self._file.read(size)

    def check_end(self, end: int) -> None:
        """tarfile takes any end for the end; a whole archive ends in a block of zeros, and gzip's checksum behind it.

        Raises:
            EOFError: it was cut.
            OSError: the checksum does not fit.
            InputError: more stands behind the end than would fill it up.
        """
        self.seek(end)
        if self.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError("it ends before its end")
        while self.read(_BLOCK):
            if self.tell() > end + _SMALL:
                raise InputError(f"datasets: {self._path} was not unpacked: it goes on long after its end.")
