"""Detectors of two stages made smaller: labels teach them, and files of integers are none of theirs."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest

import tfmap
from tests.tasks.detectors.test_tfmap_det import body
from tfmap import export, tasks
from tfmap.compress import bridge, compress, ends, judge, lessons
from tfmap.compress.prune import sparsities
from tfmap.errors import InputError
from tfmap.litert import LiteModel
from tfmap.models.levels import marked
from tfmap.source import Source
from tfmap.tasks.detectors import faster_rcnn, mask_rcnn
from tfmap.train.feed import Feed

CASES = {
    "detection": ("sample:cells", partial(faster_rcnn.head, width=8, proposals=20)),
    "instances": ("sample:nuclei", partial(mask_rcnn.head, width=8, proposals=20)),
}


@pytest.fixture(scope="module", params=[pytest.param("detection", marks=pytest.mark.slow), "instances"])
def case(request):
    """A task's name, eight pictures to learn from and be judged on, and a network that has learned nothing."""
    sample, head = CASES[request.param]
    whole = tfmap.load(sample, target="instances" if request.param == "instances" else None, seed=0)
    few = whole.split("train").take(np.arange(8))
    source = Source(sample, whole.classes, {"train": few, "val": few}, target=whole.target)
    keras.utils.set_random_seed(0)
    return request.param, source, head(marked(body()), len(source.classes))


def fed(net, source, task):
    return Feed(net, source, tasks.get(task), options={"batch_size": 4}, seed=0)


def test_labels_alone_teach(case):
    task, source, net = case
    lesson = lessons.of(tasks.get(task), net, len(source.classes))
    image, targets, _ = lesson.example(next(iter(fed(net, source, task).val())))
    said, criterion = lesson.network(image), tasks.get(task).losses(model=net)
    np.testing.assert_allclose(lesson.cost(targets, said, said, 0.5), criterion(targets, said), rtol=1e-5)
    assert set(criterion.reads) < set(lesson.network.output)
    assert list(lesson.finished(lesson.network).output) == list(net.output)


def test_the_last_kernels_of_both_stages_are_kept(case):
    task, source, net = case
    kept = ends.of(bridge.to_tf_keras(lessons.of(tasks.get(task), net, len(source.classes)).network))
    first = {name for name in kept if name.startswith("proposal_")}
    assert len(first) == 8  # codes and scores of P3 to P6
    assert kept - first >= {"codes", "logits", *(["mask_pixels"] if task == "instances" else [])}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["prune(0.5, 'constant')", "channels(0.7, multiple=4)"])
def test_it_is_made_smaller_learns_and_becomes_a_file(case, recipe):
    task, source, net = case
    told = []
    options = {"task": task, "pipeline": {"batch_size": 4}, "verbose": False, "watch": lambda *row: told.append(row)}
    small = compress(net, source, recipe=recipe, epochs=3, learning_rate=3e-3, **options)
    assert {name: one.shape for name, one in small.output.items()} == {
        name: one.shape for name, one in net.output.items()
    }
    assert told[-1][2]["loss"] < told[0][2]["loss"]
    if recipe.startswith("prune"):
        assert max(sparsities(small).values()) == pytest.approx(0.5, abs=0.05)
    else:
        assert small.count_params() < net.count_params()
    options = {"classes": source.classes, "task": task, "format": "dynamic", "suppression": False}
    file = LiteModel(export.tflite(small, **options))
    pictures = next(iter(fed(net, source, task).val()))["image"].numpy()
    assert {name: one.shape for name, one in file.predict(pictures).items()} == {
        name: (4, *one.shape[1:]) for name, one in net.output.items()
    }


def test_it_is_judged_by_its_task(case):
    task, source, net = case
    found = judge.scores(net, fed(net, source, task), tasks.get(task), source.classes)
    assert list(found) == ["mAP"]
    assert 0 <= found["mAP"] < 0.5


def test_objects_that_are_said_as_they_are_have_all_points(monkeypatch):
    """In boxes whose parts all belong to the object, masks are as good as the objects are square."""
    sample, head = CASES["instances"]
    split = tfmap.load(sample, target="instances", seed=0).split("val")
    net = head(marked(body()), 1)
    source = Source(sample, ("nucleus",), {"train": split, "val": split}, target="instances")
    batches = iter(list(fed(net, source, "instances").val()))
    monkeypatch.setattr(net, "predict_on_batch", lambda images: _said(next(batches)))
    found = judge.scores(net, fed(net, source, "instances"), tasks.get("instances"), source.classes)
    assert found["mAP"] > 0.8


def _said(batch):
    """What a model would say that sees every object as it is."""
    boxes, scores = batch["boxes"], np.asarray(batch["classes"] >= 0, np.float32)[..., None]
    rows = np.tile(np.arange(boxes.shape[1]), (len(boxes), 1))
    masks = mask_rcnn.inside(batch["instances"], boxes, rows)
    return {"boxes": boxes, "scores": scores, "masks": masks}


@pytest.mark.parametrize("recipe", ["qat", "low_bits", "channels(0.5)|distill"])
def test_what_two_stages_cannot_do_is_told(case, recipe):
    task, source, net = case
    text = r"compress: .*_rcnn_tiny looks a second time at boxes .* received the step .*Use prune, cluster, low_rank or"
    with pytest.raises(InputError, match=text):
        compress(net, source, task=task, recipe=recipe, pipeline={"batch_size": 4})
