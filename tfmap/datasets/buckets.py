"""Files and folders of the stores that fsspec knows: Google's, Amazon's, and its own memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec

from tfmap.datasets import archives, download
from tfmap.datasets.download import Stamp
from tfmap.errors import InputError
from tfmap.progress import bar
from tfmap.runs import replacing

_THREADS = 8  # files fetched at the same time: a store answers slowly, but many at once
_TAGS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "created")


class Blob:
    """A file of a store."""

    def __init__(self, store: fsspec.AbstractFileSystem, path: str, url: str) -> None:
        self.url, self._store, self._path = url, store, path

    @contextmanager
    def open(self, offset: int, stamp: Stamp | None) -> Iterator[tuple[IO[bytes], int, Stamp]]:
        """See download.Remote."""
        now = _stamp(self._store.info(self._path))
        offset = offset if now == stamp else 0
        with self._store.open(self._path, "rb") as file:
            file.seek(offset)
            yield file, offset, now


def fetch(url: str, target: Path, check_file: Callable[[str], None]) -> Path:
    """Fetch a file or a folder to `target`.

    Args:
        url: where it is.
        target: where it shall be.
        check_file: raises if the URL names a single file that is no data set.

    Raises:
        InputError: the package for this store is not installed, or the store refuses.
        FileNotFoundError: nothing is there.
    """
    try:
        store, path = fsspec.core.url_to_fs(url)
        if store.isfile(path):
            check_file(url)
            return download.file(Blob(store, path, url), target)
        return _mirror(store, path, url, target)
    except ImportError as error:
        raise InputError(
            f"datasets: {url.partition('://')[0]}:// needs a package that is not installed ({error}). Install it: "
            "pip install 'tfmap[remote]'"
        ) from error
    except (InputError, FileNotFoundError):
        raise
    except Exception as error:  # each store raises its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"datasets: {url} cannot be fetched: {reason}") from error


def _mirror(store: fsspec.AbstractFileSystem, path: str, url: str, target: Path) -> Path:
    """A folder: what has changed is fetched, what is gone is removed."""
    root = path.rstrip("/") + "/"
    store.invalidate_cache()
    found = {name.removeprefix(root): info for name, info in store.find(path, detail=True).items()}
    wanted = {name: _line(info) for name, info in found.items() if not name.endswith("/")}
    if not wanted:
        raise FileNotFoundError(f"datasets: {url} does not exist, or is empty.")
    _check_names(url, wanted)
    state = target.with_name(f"{target.name}.json")
    _tidy(target, wanted)
    held = {name: line for name, line in _read(state).items() if _is_whole(target / name, line)}
    new = [name for name, line in wanted.items() if held.get(name) != line]
    try:
        for name in _fetched(store, root, target, new, wanted):
            held[name] = wanted[name]
    finally:
        # Whatever stops it, what has come need not come again.
        with replacing(state) as temporary:
            temporary.write_text(json.dumps({name: held[name] for name in wanted if name in held}), encoding="utf-8")
    return target


def _fetched(
    store: fsspec.AbstractFileSystem, root: str, target: Path, names: list[str], wanted: dict[str, list]
) -> Iterator[str]:
    def get(name: str) -> str:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with replacing(target / name) as temporary:
            store.get_file(root + name, str(temporary))
            here, size = temporary.stat().st_size, wanted[name][0]
            if size is not None and here != size:
                raise ConnectionError(f"{name} ended at byte {here:,} of {size:,}")
        return name

    with ThreadPoolExecutor(_THREADS) as pool, bar(f"Fetching {target.name}", len(names)) as show:
        for count, name in enumerate(pool.map(get, names), 1):
            show(count)
            yield name


def _tidy(target: Path, wanted: dict[str, list]) -> None:
    """Remove what is not wanted, and folders that are empty then: a class folder without pictures is an error."""
    for path in sorted(target.rglob("*"), reverse=True):  # what is in a folder before the folder
        if not path.is_dir():
            if str(path.relative_to(target)) not in wanted:
                path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()


def _check_names(url: str, names: dict[str, list]) -> None:
    for name in names:
        if fault := archives.name_fault(name):
            raise InputError(f"datasets: {url} was not fetched: its file {name!r} {fault}.")


def _is_whole(path: Path, line: list) -> bool:
    return path.is_file() and line[0] in (None, path.stat().st_size)


def _stamp(info: dict[str, Any]) -> Stamp:
    return Stamp(info.get("size"), next((str(info[name]) for name in _TAGS if info.get(name)), ""))


def _line(info: dict[str, Any]) -> list:
    stamp = _stamp(info)
    return [stamp.size, stamp.tag]


def _read(state: Path) -> dict[str, list]:
    try:
        return json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
