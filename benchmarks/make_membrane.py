"""Make the embedded sample of masks, or all there is for a benchmark.

    python -m benchmarks.make_membrane MEMBRANE_FOLDER             the sample: tfmap/datasets/samples/membrane
    python -m benchmarks.make_membrane MEMBRANE_FOLDER TARGET      for `benchmarks.boxes_and_masks membrane TARGET`

MEMBRANE_FOLDER is data/membrane of https://github.com/zhixuhao/unet, which has 30 labelled pictures; the sample has the
first 15, as grey JPEG at full size, of the highest quality that keeps them under 1.5 MB. In TARGET all stay as they
are. A fifth, chosen by the hash of their bytes, is held out; masks are PNG of class numbers.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.make_sample import squeezed

CLASSES = ("cell", "membrane")
HELD_OUT = 1 / 5
BUDGET = 1_500_000  # bytes, pictures only
IN_SAMPLE = 15
SAMPLE = Path(__file__).parent.parent / "tfmap" / "datasets" / "samples" / "membrane"


def encode(path: Path, quality: int) -> bytes:
    """Grey baseline JPEG."""
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("L").save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def mask(path: Path) -> bytes:
    """PNG of class numbers: the original's black is membrane, its white is the inside of cells."""
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        numbers = Image.fromarray((np.asarray(picture.convert("L")) < 128).astype(np.uint8)).convert("P")
    numbers.putpalette([255, 255, 255, 0, 0, 0])
    numbers.save(buffer, "PNG", optimize=True, bits=1)
    return buffer.getvalue()


def main(folder: Path, target: Path | None = None) -> None:
    """Choose, find the quality, write."""
    paths = sorted((folder / "train" / "image").glob("*.png"), key=lambda path: int(path.stem))
    if target is None:
        paths = paths[:IN_SAMPLE]
        quality, files = squeezed(encode, paths, BUDGET)
        write(folder, SAMPLE, dict(zip(paths, files, strict=True)), "jpg")
        sys.stdout.write(f"{len(files)} pictures, quality {quality}, {sum(map(len, files)):,} bytes\n")
    else:
        write(folder, target, {path: path.read_bytes() for path in paths}, "png")


def write(folder: Path, target: Path, files: Mapping[Path, bytes], ending: str) -> None:
    """Pictures, masks, names of classes and the licence; a fifth of the pictures in val."""
    held_out = sorted(files, key=lambda path: hashlib.sha256(path.read_bytes()).digest())
    held_out = held_out[: round(HELD_OUT * len(files))]
    for path in target.rglob("*.[jp][pn]g"):
        path.unlink()
    for path, data in files.items():
        part = target / ("val" if path in held_out else "train")
        for kind, content, end in (
            ("images", data, ending),
            ("masks", mask(folder / "train" / "label" / path.name), "png"),
        ):
            file = part / kind / f"{path.stem}.{end}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    (target / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    licence = next(path for path in (folder / "LICENSE", folder.parent.parent / "LICENSE") if path.exists())
    shutil.copyfile(licence, target / "LICENSE")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
