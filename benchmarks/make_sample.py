"""Make the embedded sample: `python benchmarks/make_sample.py TRASHNET_FOLDER`.

Writes tfmap/datasets/samples/trash/<class>/*.jpg: 200 pictures a class (all where there are fewer), chosen by the hash
of their bytes, fitted into 192 px and written as baseline JPEG at the highest quality that keeps all under 5.9 MB.
Pictures that stand under two classes are left out.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PIL import Image

PER_CLASS = 200
SIDE = 192
BUDGET = 5_900_000  # bytes, pictures only
TARGET = Path(__file__).parent.parent / "tfmap" / "datasets" / "samples" / "trash"


def choose(folder: Path) -> list[Path]:
    """The pictures to embed: `PER_CLASS` of each class folder, in the order of their content hash."""
    classes_of, path_of = defaultdict(set), {}
    for path in sorted(folder.glob("*/*.jpg")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        classes_of[digest].add(path.parent.name)
        path_of.setdefault(digest, path)
    chosen = defaultdict(list)
    for digest in sorted(path_of):
        name = path_of[digest].parent.name
        if len(classes_of[digest]) == 1 and len(chosen[name]) < PER_CLASS:
            chosen[name].append(path_of[digest])
    return [path for name in sorted(chosen) for path in sorted(chosen[name])]


def shrink(path: Path) -> Image.Image:
    """The picture, fitted into SIDE x SIDE."""
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return small


def encode(picture: Image.Image, quality: int) -> bytes:
    """Baseline JPEG, no metadata."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=False, progressive=False)
    return buffer.getvalue()


def squeezed(encode: Callable[[Any, int], bytes], pictures: Iterable[Any], budget: int) -> tuple[int, list[bytes]]:
    """The highest quality at which all pictures together keep to a budget, and their files.

    Args:
        encode: (picture, quality) -> bytes.
        pictures: what it takes.
        budget: in bytes.
    """
    pictures = list(pictures)
    for quality in range(95, 40, -1):
        files = [encode(picture, quality) for picture in pictures]
        if sum(map(len, files)) <= budget:
            break
    return quality, files


def main(folder: Path) -> None:
    """Choose, shrink, find the quality, write."""
    paths = choose(folder)
    quality, files = squeezed(encode, map(shrink, paths), BUDGET)
    for path in TARGET.glob("*/*.jpg"):
        path.unlink()
    for path, data in zip(paths, files, strict=True):
        (TARGET / path.parent.name).mkdir(parents=True, exist_ok=True)
        (TARGET / path.parent.name / path.name).write_bytes(data)
    shutil.copyfile(folder / "LICENSE", TARGET / "LICENSE")
    sys.stdout.write(f"{len(files)} pictures, quality {quality}, {sum(map(len, files)):,} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
