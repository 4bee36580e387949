"""Make the embedded sample of objects with their pixels: `python -m benchmarks.make_nuclei STAGE1_TRAIN`.

STAGE1_TRAIN is the folder of that name of the 2018 Data Science Bowl: of each picture a folder with images/ and
masks/, a mask for each nucleus. Writes tfmap/datasets/samples/nuclei as a COCO data set with run lengths: grey pictures
of 256 x 256 pixels under fluorescent light, chosen by the hash of their bytes, as baseline JPEG at the highest quality
that keeps all under the budget.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from benchmarks.make_sample import encode, squeezed

COUNTS = {"train": 36, "val": 12}
SIDE = 256
MOST = 50  # nuclei of a picture
BUDGET = 220_000  # bytes, pictures only
TARGET = Path(__file__).parent.parent / "tfmap" / "datasets" / "samples" / "nuclei"


def choose(folder: Path, count: int) -> list[Path]:
    """The folders of so many pictures, by the hash of their bytes."""
    found = []
    for place in folder.iterdir():
        path = next((place / "images").glob("*.png"))
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"), np.int16)
        grey = np.ptp(pixels, axis=-1).max() == 0 and pixels.mean() < 100
        if grey and pixels.shape[:2] == (SIDE, SIDE) and len(list((place / "masks").iterdir())) <= MOST:
            found.append((hashlib.sha256(path.read_bytes()).digest(), place))
    return [place for _, place in sorted(found)[:count]]


def described(places: list[Path]) -> dict[str, Any]:
    """COCO's lists for these pictures."""
    images, annotations = [], []
    for number, place in enumerate(places, 1):
        images.append({"id": number, "file_name": name(place), "width": SIDE, "height": SIDE})
        for path in sorted((place / "masks").glob("*.png")):
            pixels = np.asarray(Image.open(path).convert("L")) > 0
            runs = coco_mask.encode(np.asfortranarray(pixels, np.uint8))
            outline = {"size": runs["size"], "counts": runs["counts"].decode()}
            about = {"segmentation": outline, "bbox": coco_mask.toBbox(runs).tolist(), "area": int(pixels.sum())}
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0, **about}
            )
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "nucleus"}]}


def name(place: Path) -> str:
    """Of a picture: the beginning of its long number."""
    return f"{place.name[:12]}.jpg"


def grey(place: Path) -> Image.Image:
    """The picture in one channel."""
    with Image.open(next((place / "images").glob("*.png"))) as picture:
        return picture.convert("L")


def main(folder: Path) -> None:
    """Choose, find the quality, write."""
    chosen = choose(folder, sum(COUNTS.values()))
    parts = {"train": chosen[: COUNTS["train"]], "val": chosen[COUNTS["train"] :]}
    quality, encoded = squeezed(encode, map(grey, chosen), BUDGET)
    files = dict(zip(chosen, encoded, strict=True))
    (TARGET / "annotations").mkdir(parents=True, exist_ok=True)
    for part, places in parts.items():
        content = json.dumps(described(places), separators=(",", ":"))
        (TARGET / "annotations" / f"instances_{part}.json").write_text(content)
        (TARGET / part).mkdir(exist_ok=True)
        for place in places:
            (TARGET / part / name(place)).write_bytes(files[place])
    sys.stdout.write(f"{len(files)} pictures, quality {quality}, {sum(map(len, encoded)):,} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
