"""Every detector learns eight pictures by heart: what it finds after that is all there is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tfmap
from tfmap import pipeline, tasks
from tfmap.datasets import load
from tfmap.tasks import detection as task

SIZE = (224, 224)


@pytest.fixture(scope="module")
def few():
    """Eight pictures of blood cells, eight times an epoch, and themselves to be tried on."""
    source = load("sample:cells")
    eight = source.split("train").take(np.arange(8))
    return replace(source, splits={"train": eight.take(np.tile(np.arange(8), 8)), "val": eight})


@pytest.mark.slow
@pytest.mark.parametrize("arch", task.ARCHITECTURES)
def test_it_learns_eight_pictures_by_heart(arch, few, monkeypatch):
    monkeypatch.setattr(tasks, "NAMES", ("classification", "detection"))
    net = task.build(arch, "mobilenet_v1_025", classes=3, input_shape=(*SIZE, 3), width=32)
    options = {"epochs": 40, "learning_rate": 5e-3, "pipeline": {"batch_size": 8}, "verbose": False}
    tfmap.fit(net, few, task="detection", **options)
    (batch,) = pipeline.batches(
        few.split("val"), size=SIZE, channels=3, prepare=task.prepare, batch_size=8, cache="none"
    )
    outputs = net.predict(np.asarray(batch["image"], "float32"), verbose=0)
    found = task.decode(outputs)
    truths = few.split("val").boxes
    scale = np.array([SIZE[0] / 240, SIZE[1] / 320] * 2, "float32")
    result = task.score(found, replace(truths, boxes=truths.boxes * scale), classes=few.classes)
    assert result["mAP50"] > 0.95, result
