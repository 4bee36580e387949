"""Every segmenter learns eight pictures by heart: what it says after that is what is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import tfmap
from tfmap.datasets import load
from tfmap.source import Masks, Split
from tfmap.tasks import segmentation as task

EPOCHS = {"fcn": 60, "deeplab_v3plus": 60}  # their maps are coarser than the lines; 30 leave 0.94
SIDE, ZOOM = 192, 3  # cut out and enlarged: lines as thin as in the whole picture are less than a place of a map


@pytest.fixture(scope="module")
def few():
    """The middles of eight pictures of tissue, four times an epoch, and themselves to be tried on."""
    source = load("sample:membrane")
    train = source.split("train")
    images = np.stack(
        [_middle(np.asarray(Image.open(path).convert("RGB")), Image.BICUBIC) for path in train.images[:8]]
    )
    masks = np.empty(8, object)
    masks[:] = [_middle(train.masks.read(number), Image.NEAREST) for number in range(8)]
    known = np.zeros((8, 2), "float32")
    eight = Split("pixels", images, known, train.ids[:8], np.zeros(8, bool), masks=Masks(masks, np.asarray))
    return replace(source, splits={"train": eight.take(np.tile(np.arange(8), 4)), "val": eight})


def _middle(pixels, resample):
    """SIDE x SIDE: the middle of a picture, enlarged."""
    low, side = (len(pixels) - SIDE // ZOOM) // 2, SIDE // ZOOM
    return np.asarray(Image.fromarray(pixels[low : low + side, low : low + side]).resize((SIDE, SIDE), resample))


@pytest.mark.slow
@pytest.mark.parametrize("arch", task.ARCHITECTURES)
def test_it_learns_eight_pictures_by_heart(arch, few):
    net = task.build(arch, "mobilenet_v1_025", classes=2, input_shape=(SIDE, SIDE, 3), width=32)
    options = {"epochs": EPOCHS.get(arch, 30), "learning_rate": 5e-3, "pipeline": {"batch_size": 4}, "verbose": False}
    tfmap.fit(net, few, task="segmentation", **options)
    images, masks = few.split("val").images, few.split("val").masks.items
    said = task.decode(net.predict(images.astype("float32"), verbose=0))
    result = task.score(said, list(masks), classes=few.classes)
    assert result["mIoU"] > 0.95, result
