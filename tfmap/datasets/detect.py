"""Which reader a source wants."""

from __future__ import annotations

from pathlib import Path

from tfmap.datasets import archives, folder, records, remote, samples, tree
from tfmap.datasets.listing import Listing, Target
from tfmap.errors import InputError

Columns = tuple[str, str, str, str]  # path, label, split, separator of labels

# format -> what it can say about a picture
TARGETS: dict[str, tuple[Target, ...]] = {
    "folder": ("label",),
    "csv": ("label", "boxes"),
    "idx": ("label",),
    "npz": ("label",),
    "voc": ("boxes", "mask", "label"),
    "coco": ("boxes", "mask", "instances", "label"),
    "yolo": ("boxes", "mask", "instances", "label"),
    "masks": ("mask",),
    "records": ("label", "boxes", "mask", "instances"),
}
_FOLDERS = ("folder", "idx", "voc", "masks", "records")  # formats that are always a folder
_SUFFIXES = {".csv": "csv", ".npz": "npz", ".json": "coco", ".yaml": "yolo", ".yml": "yolo"}
_EXPECTED = "a folder, an archive, a URL, or a .csv, .npz, .json (COCO) or .yaml (YOLO) file"


def read(
    source: str,
    format: str | None = None,
    *,
    target: Target | None = None,
    columns: Columns,
    data_dir: str | None = None,
    download: bool = False,
) -> Listing:
    """Read a source by its format, or by what is there.

    Args:
        source: what `load` was given.
        format: one of TARGETS, tfds, or None.
        target: what to read about each picture; None for what the format is for.
        columns: names of the CSV columns for path, label and split, and the separator of labels.
        data_dir: folder of TensorFlow Datasets.
        download: whether TensorFlow Datasets may fetch.
    """
    try:
        path = None if source.startswith("tfds:") or format == "tfds" else root(source)
        format = "tfds" if path is None else format or detect(path, columns)
        if format == "tfds":
            from tfmap.datasets import tfds  # takes seconds: it imports TensorFlow

            return tfds.read(source.removeprefix("tfds:"), target=target, data_dir=data_dir, download=download)
        if target is not None and target not in TARGETS[format]:
            raise InputError(
                f"datasets.target is {target}, but {source}, read as {format}, only has {' or '.join(TARGETS[format])}."
            )
        return _read_path(path, format, target, columns)
    except PermissionError as error:
        raise InputError(f"datasets: no permission to read {error.filename or path}.") from error


def root(source: str) -> Path:
    """The file or folder behind a name, on this machine and unpacked."""
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
            f"datasets: {path} does not exist. Expected {_EXPECTED}, "
            f"{', '.join(f'sample:{name}' for name in samples.names())} or tfds:<name>."
        )
    if not path.is_dir():
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


def _read_path(path: Path, format: str, target: Target | None, columns: Columns) -> Listing:
    from tfmap.datasets import arrays, coco, masks, voc, yolo

    _check_there(path, format)
    if format == "records":
        return _with_target(records.read(path), path, target)
    if format == "csv":
        return _read_csv(path, target, columns)
    if format in ("voc", "coco", "yolo"):
        return {"voc": voc, "coco": coco, "yolo": yolo}[format].read(path, target)
    return {"idx": arrays.read_idx, "npz": arrays.read_npz, "masks": masks.read, "folder": folder.read}[format](path)


def _with_target(listing: Listing, path: Path, target: Target | None) -> Listing:
    """Prepared pictures have what was prepared; only boxes and masks may be read as labels."""
    if target in (None, "label", listing.target):
        return listing
    raise InputError(f"datasets.target is {target}, but {path} was prepared with {listing.target}.")


def _read_csv(path: Path, target: Target | None, columns: Columns) -> Listing:
    from tfmap.datasets import boxes_csv, csv_table

    file = csv_table.find(path, columns) if path.is_dir() else path
    boxes = target == "boxes" or boxes_csv.matches(file)
    return (boxes_csv if boxes else csv_table).read(file, columns)


def _check_there(path: Path, format: str) -> None:
    if not path.exists():
        raise FileNotFoundError(f"datasets: {path} does not exist.")
    if format in _FOLDERS and not path.is_dir():
        raise InputError(f"datasets.format {format!r} wants a folder, received the file {path}.")
    if format == "npz" and path.is_dir():
        raise InputError(f"datasets.format 'npz' wants a file, received the folder {path}.")


def _of_file(path: Path) -> str:
    format = _SUFFIXES.get(path.suffix.lower())
    if format is None or not path.is_file():
        raise InputError(
            f"datasets: {path} is no data set: expected {_EXPECTED}. If it is a CSV file by another name, set "
            "datasets.format to csv."
        )
    return format


def _of_folder(path: Path, columns: Columns) -> list[str]:
    from tfmap.datasets import arrays, boxes_csv, coco, csv_table, masks, voc, yolo

    tables = csv_table.tables(path, columns)
    readings = {
        "tfds": tree.prepared(path),
        "voc": voc.matches(path),
        "coco": coco.matches(path),
        "yolo": yolo.matches(path),
        "masks": masks.matches(path),
    }
    # Marker files say that the folders inside are no classes.
    owned = any(readings.values()) or any(map(boxes_csv.matches, tables))
    readings |= {
        "folder": not owned and folder.matches(path),
        "csv": bool(tables),
        "idx": arrays.has_idx(path),
    }
    return [format for format, fits in readings.items() if fits]
