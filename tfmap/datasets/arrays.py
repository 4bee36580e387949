"""Pixels in arrays: a .npz file, or a folder of MNIST-style idx files."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from tfmap.datasets.listing import Listing, check_classes, objects
from tfmap.errors import InputError

_PARTS = ("train", "val", "test")
_IDX_NAMES = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("t10k", "test")}
_CLASS_FILES = ("classes.txt", "labels.txt")


def read_npz(file: Path) -> Listing:
    """x_train, y_train and, where present, x_val, y_val, x_test, y_test and classes.

    x is uint8 (N, H, W) or (N, H, W, C) with C 1 or 3; y is integer (N,), or 0 and 1 (N, K) for several labels.

    Raises:
        InputError: an array is missing, or has a wrong dtype, shape or value.
    """
    arrays = _load_npz(file)
    pairs = {}
    for part in _PARTS:
        names = [f"x_{part}", f"y_{part}"]
        present = [name for name in names if name in arrays]
        if len(present) == 1 or (part == "train" and not present):
            raise InputError(
                f"datasets: {file} needs both {names[0]} and {names[1]}. Its arrays: {', '.join(arrays) or 'none'}."
            )
        if present:
            pairs[part] = (arrays[names[0]], arrays[names[1]])
    classes = [str(name) for name in arrays["classes"]] if "classes" in arrays else None
    return _listing(file, pairs, classes)


def has_idx(folder: Path) -> bool:
    """Whether a folder holds the idx files of a train part."""
    return _idx_file(folder, "train", "images-idx3") is not None


def read_idx(folder: Path) -> Listing:
    """train-images-idx3-ubyte(.gz), train-labels-idx1-ubyte(.gz), and the same for t10k or test, and val.

    Class names are the lines of classes.txt or labels.txt in the folder, else the numbers.

    Raises:
        InputError: a file is missing, cut short or no idx file.
    """
    pairs = {}
    for part in _PARTS:
        files = [_idx_file(folder, part, kind) for kind in ("images-idx3", "labels-idx1")]
        if all(files):
            pairs[part] = tuple(_read_idx(file) for file in files)
        elif any(files) or part == "train":
            raise InputError(
                f"datasets: {folder} needs both {part}-images-idx3-ubyte(.gz) and {part}-labels-idx1-ubyte(.gz)."
            )
    named = next((folder / name for name in _CLASS_FILES if (folder / name).is_file()), None)
    return _listing(folder, pairs, named.read_text(encoding="utf-8").splitlines() if named else None)


def _load_npz(file: Path) -> dict[str, np.ndarray]:
    try:
        # Opened here, because np.load leaves the file open when it fails.
        with open(file, "rb") as data, np.load(data, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise whatever they stumble over in a damaged file
        raise InputError(f"datasets: {file} is no .npz file of plain arrays.") from error


def _idx_file(folder: Path, part: str, kind: str) -> Path | None:
    for name in _IDX_NAMES[part]:
        for ending in ("", ".gz"):
            for dot in ("-", "."):
                file = folder / f"{name}-{kind.replace('-', dot)}-ubyte{ending}"
                if file.is_file():
                    return file
    return None


def _read_idx(file: Path) -> np.ndarray:
    """An array of unsigned bytes: 0, 0, 8, rank, then each side as 4 bytes, big end first, then the values."""
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"datasets: {file} cannot be unpacked: {error}") from error
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise InputError(f"datasets: {file} is no idx file of unsigned bytes.")
    rank = data[3]
    shape = tuple(int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis]) for axis in range(rank))
    if len(data) != 4 + 4 * rank + math.prod(shape):
        raise InputError(f"datasets: {file} is cut short: shape {shape} does not fit {len(data)} bytes.")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _listing(source: Path, pairs: dict[str, tuple[np.ndarray, np.ndarray]], classes: list[str] | None) -> Listing:
    images = [_images(source, part, x) for part, (x, _) in pairs.items()]
    labels = [_labels(source, part, y, len(x)) for part, (x, y) in pairs.items()]
    if len({array.shape[1:] for array in images}) > 1 or len({array.shape[1:] for array in labels}) > 1:
        raise InputError(f"datasets: the parts of {source} differ in the shape of their pictures or labels.")
    values = np.concatenate(labels)
    count = values.shape[1] if values.ndim == 2 else int(values.max(initial=-1)) + 1
    names = check_classes(classes or [str(index) for index in range(count)], str(source))
    if len(names) < count or len(set(names)) < len(names):
        raise InputError(f"datasets: {source} has labels of {count} classes, but {len(set(names))} class names.")
    if values.ndim == 2 and len(names) != count:
        raise InputError(f"datasets: {source} has {count} columns of labels, but {len(names)} class names.")
    ids = objects([f"{source}:{part}[{index}]" for part, (x, _) in pairs.items() for index in range(len(x))])
    parts = objects([part for part, (x, _) in pairs.items() for _ in range(len(x))])
    # A file with a train part alone does not say how to cut it; that is what "" means.
    parts = parts if len(pairs) > 1 else objects([""] * len(ids))
    return Listing("pixels", np.concatenate(images), values, ids, parts, names)


def _images(source: Path, part: str, x: np.ndarray) -> np.ndarray:
    x = x[..., np.newaxis] if x.ndim == 3 else x
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[-1] not in (1, 3) or 0 in x.shape[1:]:
        raise InputError(
            f"datasets: {part} pictures of {source} must be uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3), 0..255; "
            f"received {x.dtype} {x.shape}."
        )
    return x


def _labels(source: Path, part: str, y: np.ndarray, count: int) -> np.ndarray:
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if len(y) != count:
        raise InputError(f"datasets: {part} of {source} has {count} pictures, but {len(y)} labels.")
    if y.ndim == 1 and np.issubdtype(y.dtype, np.integer) and (not count or y.min() >= 0):
        return y.astype(np.int32)
    if y.ndim == 2 and np.isin(y, (0, 1)).all():
        return y.astype(np.float32)
    raise InputError(
        f"datasets: {part} labels of {source} must be integers from 0 (N,), or 0 and 1 (N, K); received "
        f"{y.dtype} {y.shape}."
    )
