"""Every detector learns eight pictures by heart: what it finds after that is all there is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import tfmap
from tfmap.boxes import area, clip
from tfmap.datasets import load
from tfmap.source import Boxes, Split
from tfmap.tasks import detection as task

WINDOW, SIZE = (90, 120), (160, 160)  # enlarged, so that the smallest cells are as large as the smallest anchors


@pytest.fixture(scope="module")
def few():
    """Parts of eight pictures of blood cells, eight times an epoch, and themselves to be tried on."""
    source = load("sample:cells")
    train = source.split("train")
    images, boxes, classes = zip(*(_part(train, number) for number in range(8)), strict=True)
    starts, never = np.cumsum([0, *map(len, classes)]), np.zeros(sum(map(len, classes)), bool)
    known = Boxes(starts, np.concatenate(boxes), np.concatenate(classes), crowd=never, difficult=never)
    labels = np.ones((8, 3), "float32")
    eight = Split("pixels", np.stack(images), labels, train.ids[:8], np.zeros(8, bool), boxes=known)
    return replace(source, splits={"train": eight.take(np.tile(np.arange(8), 8)), "val": eight})


def _part(train, number):
    """A window around the first cell that is not red: pixels, and boxes of which at least half are in it."""
    whole = np.asarray(Image.open(train.images[number]).convert("RGB"))
    rows = train.boxes.rows(number)
    boxes, classes = train.boxes.boxes[rows], train.boxes.classes[rows]
    rare = boxes[np.argmax(classes != 1)]
    middle = (rare[:2] + rare[2:]) / 2
    top, left = np.clip(middle - np.array(WINDOW) / 2, 0, np.array(whole.shape[:2]) - WINDOW).astype(int)
    moved = boxes - np.array([top, left, top, left], "float32")
    inside = np.asarray(clip(moved, WINDOW))
    kept = np.asarray(area(inside)) > 0.5 * np.asarray(area(moved))
    return whole[top : top + WINDOW[0], left : left + WINDOW[1]], inside[kept], classes[kept]


@pytest.mark.slow
@pytest.mark.parametrize("arch", task.ARCHITECTURES)
def test_it_learns_eight_pictures_by_heart(arch, few):
    net = task.build(arch, "mobilenet_v1_025", classes=3, input_shape=(*SIZE, 3), width=32)
    options = {"epochs": 40, "learning_rate": 5e-3, "pipeline": {"batch_size": 4}, "verbose": False}
    tfmap.fit(net, few, task="detection", **options)
    val = few.split("val")
    pictures = [np.asarray(Image.fromarray(image).resize(SIZE[::-1], Image.BILINEAR)) for image in val.images]
    outputs = net.predict(np.stack(pictures).astype("float32"), verbose=0)
    found = task.decode(outputs, size=SIZE, whole=np.tile(WINDOW, (8, 1)))
    result = task.score(found, val.boxes, classes=few.classes)
    assert result["mAP50"] > 0.95, result
