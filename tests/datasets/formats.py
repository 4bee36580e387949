"""The shipped pictures of blood cells in every format of boxes, written by code."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import yaml

DATA = Path(__file__).parent / "data"
BCCD, MEMBRANE = DATA / "bccd", DATA / "membrane"
CLASSES = ("Platelets", "RBC", "WBC")
PARTS = ("train", "val", "test")
IDS = {"Platelets": 3, "RBC": 7, "WBC": 90}  # COCO's category ids are sparse


def rows():
    """(part, stem, [(class, xmin, ymin, xmax, ymax)]) of each picture, 640 x 480."""
    for part in PARTS:
        for stem in (BCCD / "ImageSets" / "Main" / f"{part}.txt").read_text().split():
            objects = ElementTree.parse(BCCD / "Annotations" / f"{stem}.xml").iter("object")
            yield part, stem, [(o.findtext("name"), *corners(o.find("bndbox"))) for o in objects]


def corners(box):
    return [float(box.findtext(name)) for name in ("xmin", "ymin", "xmax", "ymax")]


def voc(folder: Path) -> Path:
    """As it is shipped."""
    shutil.copytree(BCCD, folder, copy_function=shutil.copyfile)
    return folder


def voc_flat(folder: Path) -> Path:
    """XML beside the pictures, below train, valid and test."""
    for part, stem, _ in rows():
        place = folder / {"val": "valid"}.get(part, part)
        copy(stem, place)
        shutil.copyfile(BCCD / "Annotations" / f"{stem}.xml", place / f"{stem}.xml")
    return folder


def coco(folder: Path) -> Path:
    """annotations/instances_train2017.json and train2017/."""
    (folder / "annotations").mkdir(parents=True)
    for part in PARTS:
        for _, stem, _ in only(part):
            copy(stem, folder / f"{part}2017")
        (folder / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(coco_content(part)))
    return folder


def coco_roboflow(folder: Path) -> Path:
    """train/_annotations.coco.json beside the pictures."""
    for part in PARTS:
        place = folder / {"val": "valid"}.get(part, part)
        for _, stem, _ in only(part):
            copy(stem, place)
        (place / "_annotations.coco.json").write_text(json.dumps(coco_content(part)))
    return folder


def yolo(folder: Path) -> Path:
    """data.yaml, images/train and labels/train."""
    for part in PARTS:
        for _, stem, objects in only(part):
            copy(stem, folder / "images" / part)
            write(folder / "labels" / part / f"{stem}.txt", yolo_lines(objects))
    content = {"path": ".", **{part: f"images/{part}" for part in PARTS}, "names": dict(enumerate(CLASSES))}
    write(folder / "data.yaml", yaml.safe_dump(content))
    return folder


def yolo_outlines(folder: Path) -> Path:
    """The same with each box written as an outline, below train/images and train/labels, as Roboflow exports it."""
    for part in PARTS:
        place = folder / {"val": "valid"}.get(part, part)
        for _, stem, objects in only(part):
            copy(stem, place / "images")
            write(place / "labels" / f"{stem}.txt", outlines(objects))
    places = {"train": "../train/images", "val": "../valid/images", "test": "../test/images"}
    write(folder / "data.yaml", yaml.safe_dump({**places, "nc": 3, "names": list(CLASSES)}))
    return folder


def table(folder: Path) -> Path:
    """boxes.csv with a row for each box."""
    folder.mkdir(parents=True)
    with open(folder / "boxes.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["path", "width", "height", "label", "xmin", "ymin", "xmax", "ymax", "split"])
        for part, stem, objects in rows():
            copy(stem, folder / "pictures")
            for name, *box in objects:
                out.writerow([f"pictures/{stem}.jpg", 640, 480, name, *box, part])
    return folder


FORMATS = {
    "voc": voc,
    "voc_flat": voc_flat,
    "coco": coco,
    "coco_roboflow": coco_roboflow,
    "yolo": yolo,
    "yolo_outlines": yolo_outlines,
    "csv": table,
}


def only(part):
    return [row for row in rows() if row[0] == part]


def copy(stem, folder):
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(BCCD / "JPEGImages" / f"{stem}.jpg", folder / f"{stem}.jpg")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def coco_content(part):
    images, annotations = [], []
    for _, stem, objects in only(part):
        number = int(stem[-5:])
        images.append({"id": number, "file_name": f"{stem}.jpg", "width": 640, "height": 480})
        for name, x0, y0, x1, y1 in objects:
            annotations.append({
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": IDS[name],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
            })  # fmt: skip
    categories = [{"id": number, "name": name} for name, number in reversed(IDS.items())]
    return {"images": images, "annotations": annotations, "categories": categories}


def yolo_lines(objects):
    lines = []
    for name, x0, y0, x1, y1 in objects:
        box = np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]) / [640, 480, 640, 480]
        lines.append(f"{CLASSES.index(name)} " + " ".join(f"{value:.6f}" for value in box))
    return "\n".join(lines) + "\n"


def outlines(objects):
    lines = []
    for name, x0, y0, x1, y1 in objects:
        points = np.array([x0, y0, x1, y0, x1, y1, x0, y1]) / ([640, 480] * 4)
        lines.append(f"{CLASSES.index(name)} " + " ".join(f"{value:.6f}" for value in points))
    return "\n".join(lines) + "\n"
