"""Make the embedded sample of masks: `python -m benchmarks.make_membrane MEMBRANE_FOLDER`.

Writes tfmap/datasets/samples/membrane: the labelled pictures at full size as grey JPEG of the highest quality that
keeps them under 1.5 MB, a fifth of them, chosen by the hash of their bytes, held out; masks as PNG of class numbers.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.make_sample import squeezed

CLASSES = ("cell", "membrane")
HELD_OUT = 1 / 5
BUDGET = 1_500_000  # bytes, pictures only
TARGET = Path(__file__).parent.parent / "tfmap" / "datasets" / "samples" / "membrane"


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


def main(folder: Path) -> None:
    """Choose, find the quality, write."""
    paths = sorted((folder / "train" / "image").glob("*.png"), key=lambda path: int(path.stem))
    held_out = sorted(paths, key=lambda path: hashlib.sha256(path.read_bytes()).digest())[
        : round(HELD_OUT * len(paths))
    ]
    quality, files = squeezed(encode, paths, BUDGET)
    for path in TARGET.rglob("*.[jp][pn]g"):
        path.unlink()
    for path, data in zip(paths, files, strict=True):
        part = "val" if path in held_out else "train"
        for kind, content in (("images", data), ("masks", mask(folder / "train" / "label" / path.name))):
            file = TARGET / part / kind / f"{path.stem}.{'jpg' if kind == 'images' else 'png'}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    (TARGET / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    shutil.copyfile(folder / "LICENSE", TARGET / "LICENSE")
    sys.stdout.write(f"{len(files)} pictures, quality {quality}, {sum(map(len, files)):,} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
