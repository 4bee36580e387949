"""Mask R-CNN: pixels in boxes, what they learn from, and that all of it becomes a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfmap
from tests.tasks.detectors.test_architectures import CASES, SIZE, apart, crowd, learned, truths
from tests.tasks.detectors.test_tfmap_det import body
from tfmap import export, flatbuffer
from tfmap.datasets import load
from tfmap.errors import InputError
from tfmap.evaluate import evaluate
from tfmap.export import metadata
from tfmap.litert import LiteModel
from tfmap.tasks import instances as task
from tfmap.tasks import taught
from tfmap.tasks.detectors import mask_rcnn


@pytest.fixture(scope="module")
def net():
    return apart(mask_rcnn.head(body(), 3, width=8, proposals=30))


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(0, 255, (2, *SIZE, 3)).astype("float32")


def with_pixels(rows):
    """The truths of pictures, each object all of its box; the last one lies on top."""
    found = truths(*rows)
    masks = np.zeros((len(rows), *SIZE), "int32")
    for picture, row in enumerate(rows):
        for number, (box, _) in enumerate(row, 1):
            top, left, bottom, right = np.round(box).astype(int)
            masks[picture, top:bottom, left:right] = number
    return {**found, "instances": masks}


def test_each_box_says_its_pixels(net, pictures):
    outputs = {name: np.asarray(value) for name, value in net(pictures).items()}
    assert {name: value.shape[1:] for name, value in outputs.items()} == {
        "boxes": (30, 4), "scores": (30, 3), "masks": (30, 28, 28),
    }  # fmt: skip
    assert ((outputs["masks"] > 0) & (outputs["masks"] < 1)).all()
    found = task.decode(outputs, size=SIZE, whole=np.array([[50, 70], [64, 96]]))
    assert [one["size"] for one in found[0].masks] == [[50, 70]] * len(found[0].scores)


def test_every_weight_learns_whatever_is_there(net, pictures):
    images = np.concatenate([pictures, pictures, pictures[:1]])
    costs, gradients = learned(net, images, with_pixels(list(CASES.values())))
    assert np.isfinite(costs).all()
    assert [w.path for w, g in zip(net.trainable_variables, gradients, strict=True) if g is None] == []
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@given(st.integers(0, 2**16))
def test_parts_of_boxes_show_the_pixel_in_their_middle(seed):
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 4, (2, 12, 16)).astype("int32")
    low = rng.uniform(-3, 12, (2, 5, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.5, 12, (2, 5, 2))], axis=-1).astype("float32")
    rows = rng.integers(0, 3, (2, 5)).astype("int32")
    shown = np.asarray(mask_rcnn.inside(masks, boxes, rows, side=4))
    for b, a, i, j in np.ndindex(shown.shape):
        top, left, bottom, right = boxes[b, a]
        y, x = top + (bottom - top) * np.float32((i + 0.5) / 4), left + (right - left) * np.float32((j + 0.5) / 4)
        if min(abs(y - round(y)), abs(x - round(x))) > 1e-4:
            pixel = masks[b, int(np.clip(np.floor(y), 0, 11)), int(np.clip(np.floor(x), 0, 15))]
            assert shown[b, a, i, j] == (pixel == rows[b, a] + 1)


def test_pixels_cost_what_they_are_off_by(net, pictures):
    """Of the one object that has pixels, and of none where it has none."""
    targets = with_pixels([CASES["one"]])
    loss = task.losses(model=net)
    outputs = {name: np.asarray(value) for name, value in taught.said(net, loss)(pictures[:1]).items()}
    without = {**targets, "instances": np.zeros_like(targets["instances"])}
    costs = []
    for share in (0.5, 0.9):
        masks = np.full_like(outputs["masks"], share)
        both = (float(np.asarray(loss(one, {**outputs, "masks": masks}))[0]) for one in (targets, without))
        costs.append(np.subtract(*both))
    shown = mask_rcnn.inside(targets["instances"], outputs["boxes"], np.zeros((1, 30), "int32"))
    assert costs[0] == pytest.approx(-np.log(0.5), abs=1e-4)
    assert float(np.asarray(shown).max()) == 1
    assert costs[1] != pytest.approx(costs[0], abs=1e-3)


def test_500_objects_and_none(net, pictures):
    costs, _ = learned(net, pictures, with_pixels([crowd(500), []]))
    assert np.isfinite(costs).all()


def test_it_is_saved_and_loaded(net, pictures, tmp_path):
    net.save(tmp_path / "net.keras")
    again = tfmap.tasks.load(tmp_path / "net.keras")
    for name, value in net(pictures).items():
        np.testing.assert_allclose(again(pictures)[name], value, atol=1e-4)


@pytest.mark.parametrize("format", [pytest.param("float32", marks=pytest.mark.slow), "dynamic"])
def test_it_becomes_a_file_that_says_what_it_says(net, pictures, format):
    file = export.tflite(net, classes=("a", "b", "c"), task="instances", format=format)
    graph, about = flatbuffer.read(file), metadata.read(file)
    assert not [op.name for op in graph.ops if op.custom]
    assert (about.about["task"], about.about["suppression"]) == ("instances", False)
    told = metadata.as_json(file)["subgraph_metadata"][0]["output_tensor_metadata"]
    assert [one["name"] for one in told] == ["boxes", "scores", "masks"]
    assert [tensor.shape[1:] for tensor in graph.outputs] == [(30, 4), (30, 3), (30, 28, 28)]
    lite = LiteModel(file)
    for picture in pictures.astype("uint8"):
        found = {name: values[0] for name, values in lite.predict(picture[None]).items()}
        exact = {name: np.asarray(values)[0] for name, values in net(picture[None].astype("float32")).items()}
        if format == "float32":
            order = np.abs(found["boxes"][:, None] - exact["boxes"]).max(axis=-1).argmin(axis=0)
            for name, expected in exact.items():
                np.testing.assert_allclose(found[name][order], expected, atol=1e-2 if name == "boxes" else 1e-4)


def test_integers_are_refused_with_a_line(net):
    split = load("sample:nuclei", target="instances").split("train")
    text = "looks a second time at boxes that it has worked out, .* received format=int8. Use export.format=dynamic"
    with pytest.raises(InputError, match=text):
        export.tflite(net, split=split, classes=("a", "b", "c"), task="instances", samples=4, coverage=0)


@pytest.mark.slow
def test_it_learns_eight_pictures_by_heart():
    source = load("sample:nuclei", target="instances")
    eight = source.split("train").take(np.arange(8))
    few = replace(source, splits={"train": eight.take(np.tile(np.arange(8), 8)), "val": eight})
    net = task.build(backbone="mobilenet_v1_025", classes=1, input_shape=(256, 256, 3), width=32)
    options = {"epochs": 40, "learning_rate": 5e-3, "pipeline": {"batch_size": 4}, "verbose": False}
    tfmap.fit(net, few, task="instances", **options)
    result = evaluate(net, eight, classes=few.classes, task="instances")["metrics"]
    assert result["mAP50"] > 0.95, result
