"""Segmentation by its eight names: what goes in, what comes out, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

import tfmap
from tests.tasks.segmenters.test_architectures import head
from tfmap import pipeline, tasks
from tfmap.datasets import load
from tfmap.errors import InputError
from tfmap.runs import Run
from tfmap.tasks import segmentation as task
from tfmap.train import trainer


@pytest.fixture(scope="module")
def tissue():
    """A batch of real pictures with their masks, 64 x 96."""
    split = load("sample:membrane").split("val").take(np.arange(2))
    (batch,) = pipeline.batches(split, size=(64, 96), channels=3, prepare=task.prepare, batch_size=2, cache="none")
    return batch


def test_a_batch_is_what_the_spec_says(tissue):
    for key, expected in task.spec(classes=2, size=(64, 96), batch_size=2).items():
        assert expected.is_compatible_with(tissue[key])
    assert set(np.unique(tissue["mask"])) == {0, 1}
    boxed = {"image": tf.zeros((4, 4, 3), tf.uint8), "boxes": tf.zeros((1, 4))}
    assert set(task.prepare(boxed, (2, 2))) == {"image"}


def test_what_is_no_class_is_not_known():
    found = task.targets({"mask": np.array([[[0, 1, 2, 255]]], "uint8")}, classes=2)
    assert np.asarray(found).tolist() == [[[0, 1, 255, 255]]]


def test_it_is_built_on_a_backbone():
    net = task.build(backbone="mobilenet_v1_025", classes=3, input_shape=(64, 96, 3), width=16)
    assert net.output_shape == (None, 64, 96, 3)
    assert net.name == "tfmap_seg_mobilenet_v1_025"


def test_masks_are_decoded_and_scored():
    said = np.array([[[[0.9, 0.1], [0.2, 0.8]]]], "float32")
    (found,) = task.decode(said)
    assert (found.dtype, found.tolist()) == (np.uint8, [[0, 1]])
    numbers = task.score([found], np.array([[[0, 1]]], "uint8"), classes=("a", "b"))
    assert (numbers["mIoU"], numbers["examples"]) == (1, 1)
    assert task.curves([found], [found], classes=("a", "b")) == []


def test_masks_come_back_in_the_size_of_the_picture_from_probabilities():
    """Bilinear before the choice: the border between the sure pixel and the unsure one lies nearer to the unsure."""
    said = np.array([[[[1.0, 0.0], [0.4, 0.6]]]], "float32")
    (found,) = task.decode(said, whole=np.array([[2, 8]]))
    assert found.shape == (2, 8)
    assert found[0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


def test_a_mask_is_described_drawn_and_listed_among_the_worst():
    mask = np.array([[0, 1, 1, 1]], "uint8")
    assert task.describe(mask, classes=("a", "b")) == [{"label": "b", "share": 0.75}, {"label": "a", "share": 0.25}]
    shown = task.drawn(np.zeros((1, 4, 3), np.uint8), mask, classes=("a", "b"))
    assert shown.text == "b 75%, a 25%"
    truth = np.array([[0, 1, 0, 255]], "uint8")
    rows = task.worst([mask, truth % 255], [truth, truth], ids=["x", "y"], classes=("a", "b"))
    assert rows == [{"id": "x", "score": pytest.approx(1 / 3, abs=1e-6), "truth": "a", "predicted": "b"}]


@pytest.mark.parametrize("kind", task.LOSSES)
def test_every_loss_falls_towards_the_truth(kind, tissue):
    loss, truths = task.losses(kind), task.targets(tissue, classes=2)
    sure = np.eye(2, dtype="float32")[np.asarray(truths)]
    costs = [np.asarray(loss(truths, 0.5 + share * (sure - 0.5))) for share in (-0.5, 0.0, 0.5, 0.98)]
    assert costs[0].shape == (2,)
    assert (np.diff(costs, axis=0) < 0).all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"arch": "unit"}, "model.arch must be one of tfmap_seg, unet, fcn, segnet, deeplab_v3plus, received 'unit'."),
        ({"classes": 1}, "model: classes must be in 2 to 255, received 1; what is nothing else is a class."),
        ({"width": 4}, "model.width must be at least 8, received 4; 32 to 128 is usual."),
    ],
)
def test_what_cannot_be_built_is_told(options, text):
    with pytest.raises(InputError) as caught:
        task.build(**{"classes": 3, "backbone": "mobilenet_v1_025", **options})
    assert str(caught.value).startswith(text)


def test_an_unknown_loss_is_told():
    with pytest.raises(
        InputError, match="train.loss must be one of cross_entropy, focal, dice, lovasz in segmentation"
    ):
        task.losses("hinge")


def test_it_trains(monkeypatch, tmp_path):
    """Segmentation as a task: its other stages are yet to come."""
    monkeypatch.setattr(tasks, "NAMES", ("classification", "segmentation"))
    source = load("sample:membrane")
    few = replace(source, splits={name: split.take(np.arange(2)) for name, split in source.splits.items()})
    net = head("tfmap_seg")
    options = {"epochs": 2, "pipeline": {"batch_size": 2}, "ema": 0.5, "verbose": False, "out": tmp_path}
    tfmap.fit(net, few, task="segmentation", augment="flip|rotate(10)|color(.2)", class_weights=[1.0, 2.0], **options)
    rows = Run(tmp_path).read_rows("history.csv")
    assert [0 < float(row["val_mIoU"]) < 1 for row in rows] == [True, True]
    assert all(np.isfinite(weight).all() for weight in net.get_weights())


def test_what_it_says_stays_exact_in_mixed_precision():
    twin = trainer.in_precision(head("tfmap_seg"), "mixed_float16")
    assert {twin.get_layer(name).compute_dtype for name in ("small_logits", "logits", "probabilities")} == {"float32"}
    assert {"float16"} == {
        layer.compute_dtype for layer in twin.layers if "_pointwise" in layer.name or "edges" in layer.name
    }
