"""Which reader a source wants."""

from __future__ import annotations

from pathlib import Path

from tfmap.datasets import archives, folder, records, remote, samples
from tfmap.datasets.listing import Listing
from tfmap.errors import InputError

Columns = tuple[str, str, str, str]  # path, label, split, separator of labels


def read(
    source: str, format: str | None = None, *, columns: Columns, data_dir: str | None = None, download: bool = False
) -> Listing:
    """Read a source by its format, or by what is there.

    Args:
        source: what `load` was given.
        format: folder, csv, tfds, idx, npz, records, or None.
        columns: names of the CSV columns for path, label and split, and the separator of labels.
        data_dir: folder of TensorFlow Datasets.
        download: whether TensorFlow Datasets may fetch.
    """
    scheme, _, name = source.partition(":")
    if scheme == "tfds" or format == "tfds":
        from tfmap.datasets import tfds  # takes seconds: it imports TensorFlow

        return tfds.read(name if scheme == "tfds" else source, data_dir=data_dir, download=download)
    path = _here(source)
    try:
        return _read_path(path, format or detect(path, columns), columns)
    except PermissionError as error:
        raise InputError(f"datasets: no permission to read {error.filename or path}.") from error


def _here(source: str) -> Path:
    """The file or folder of a source that is none of TensorFlow Datasets, on this machine and unpacked."""
    scheme, _, name = source.partition(":")
    if scheme == "sample":
        return samples.folder(name)
    path = remote.fetch(source) if remote.matches(source) else Path(source).expanduser()
    return archives.unpack(path) if archives.matches(path) else path


def detect(path: Path, columns: Columns) -> str:
    """The format of a file or a folder.

    Raises:
        FileNotFoundError: nothing is there.
        InputError: no format fits, or more than one does.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"datasets: {path} does not exist. Expected a folder, a .csv or .npz file, an archive, a URL, "
            f"{', '.join(f'sample:{name}' for name in samples.names())} or tfds:<name>."
        )
    if path.is_file():
        return _of_file(path)
    if records.matches(path):
        return "records"
    readings = _of_folder(path, columns)
    if len(readings) > 1:
        raise InputError(
            f"datasets: {path} can be read as {' or '.join(readings)}. Say which with datasets.format"
            f"{', or give the CSV file itself as source' if 'csv' in readings else ''}."
        )
    return next(iter(readings), "folder")


def _read_path(path: Path, format: str, columns: Columns) -> Listing:
    _check_there(path, want_folder=format in ("folder", "idx", "records"), format=format)
    if format == "records":
        return records.read(path)
    if format == "csv":
        from tfmap.datasets import csv_table

        return csv_table.read(csv_table.find(path, columns) if path.is_dir() else path, columns)
    if format in ("idx", "npz"):
        from tfmap.datasets import arrays

        return arrays.read_idx(path) if format == "idx" else arrays.read_npz(path)
    return folder.read(path)


def _check_there(path: Path, *, want_folder: bool, format: str) -> None:
    if not path.exists():
        raise FileNotFoundError(f"datasets: {path} does not exist.")
    if want_folder and not path.is_dir():
        raise InputError(f"datasets.format {format!r} wants a folder, received the file {path}.")
    if format == "npz" and path.is_dir():
        raise InputError(f"datasets.format 'npz' wants a file, received the folder {path}.")


def _of_file(path: Path) -> str:
    format = path.suffix.lower().lstrip(".")
    if format not in ("csv", "npz"):
        raise InputError(
            f"datasets: {path} is no data set: expected a folder, a .csv or a .npz file. If it is a CSV file by "
            "another name, set datasets.format to csv."
        )
    return format


def _of_folder(path: Path, columns: Columns) -> list[str]:
    from tfmap.datasets import arrays, csv_table

    readings = {
        "folder": folder.matches(path),
        "csv": bool(csv_table.tables(path, columns)),
        "idx": arrays.has_idx(path),
    }
    return [format for format, fits in readings.items() if fits]
