"""Make the embedded sample of boxes: `python -m benchmarks.make_cells BCCD_FOLDER`.

Writes tfmap/datasets/samples/cells as a COCO data set: pictures of blood cells halved to 320 x 240, chosen from each
part of BCCD by the hash of their bytes, as baseline JPEG at the highest quality that keeps all under 2.6 MB. Pictures
with a box without area are left out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image

import tfmap
from benchmarks.make_sample import encode, squeezed
from tfmap.source import Split

COUNTS = {"train": 160, "val": 48, "test": 48}
SIDE = 320
BUDGET = 2_600_000  # bytes, pictures only
TARGET = Path(__file__).parent.parent / "tfmap" / "datasets" / "samples" / "cells"


def choose(split: Split, count: int) -> list[int]:
    """Places of the pictures to embed, in the order of their names."""
    boxes = split.boxes
    sides = boxes.boxes[:, 2:] - boxes.boxes[:, :2]
    spoilt = {row for row in range(len(split)) if (sides[boxes.rows(row)] <= 0).any()}
    rows = [row for row in range(len(split)) if row not in spoilt]
    rows.sort(key=lambda row: hashlib.sha256(Path(split.images[row]).read_bytes()).digest())
    return sorted(rows[:count], key=lambda row: split.images[row])


def described(split: Split, rows: list[int], classes: tuple[str, ...], ratio: float) -> dict[str, Any]:
    """COCO's lists for these pictures."""
    images, annotations = [], []
    for number, row in enumerate(rows, 1):
        name = Path(split.images[row]).name
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE * 3 // 4})
        here = split.boxes.rows(row)
        for (top, left, bottom, right), kind in zip(split.boxes.boxes[here], split.boxes.classes[here], strict=True):
            height, width = float(bottom - top) * ratio, float(right - left) * ratio
            box = [float(left) * ratio, float(top) * ratio, width, height]
            about = {"bbox": box, "area": height * width, "iscrowd": 0, "category_id": int(kind) + 1}
            annotations.append({"id": len(annotations) + 1, "image_id": number, **about})
    categories = [{"id": k, "name": name} for k, name in enumerate(classes, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def shrink(path: str) -> Image.Image:
    """The picture, halved."""
    with Image.open(path) as picture:
        return picture.convert("RGB").resize((SIDE, SIDE * 3 // 4), Image.Resampling.LANCZOS)


def main(folder: Path) -> None:
    """Choose, shrink, find the quality, write."""
    source = tfmap.load(str(folder))
    rows = {part: choose(source.split(part), count) for part, count in COUNTS.items()}
    pictures = {
        (part, Path(path).name): shrink(path)
        for part, chosen in rows.items()
        for path in source.split(part).images[chosen]
    }
    quality, encoded = squeezed(encode, pictures.values(), BUDGET)
    files = dict(zip(pictures, encoded, strict=True))
    for path in TARGET.rglob("*.jpg"):
        path.unlink()
    (TARGET / "annotations").mkdir(parents=True, exist_ok=True)
    for part, chosen in rows.items():
        content = described(source.split(part), chosen, source.classes, SIDE / 640)
        (TARGET / "annotations" / f"instances_{part}.json").write_text(json.dumps(content, separators=(",", ":")))
    for (part, name), data in files.items():
        (TARGET / part).mkdir(exist_ok=True)
        (TARGET / part / name).write_bytes(data)
    shutil.copyfile(folder / "LICENSE", TARGET / "LICENSE")
    sys.stdout.write(f"{len(files)} pictures, quality {quality}, {sum(map(len, files.values())):,} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
