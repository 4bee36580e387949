"""Every detector: what comes out, that it learns whatever is in a picture, is saved and loaded, and becomes a file."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tasks.detectors.test_tfmap_det import body
from tfmap import export, flatbuffer
from tfmap.export import metadata
from tfmap.litert import LiteModel
from tfmap.models import levels
from tfmap.tasks import detection as task
from tfmap.tasks import taught
from tfmap.tasks.detectors import heads
from tfmap.train import trainer

SIZE = (64, 96)
# Places of the maps of 64 x 96 pixels at strides 8, 16, ..., with the anchors of each.
PLACES = {
    "tfmap_det": 96 + 24 + 6,
    "yolo": 96 + 24 + 6,
    "retinanet": 9 * (96 + 24 + 6 + 2 + 1),
    "ssd": 6 * (24 + 6 + 2 + 1),
    "faster_rcnn": 100,
}


SHALLOW = {"tfmap_det": {"depth": 1}, "yolo": {"depth": 1}, "retinanet": {"depth": 1}}


def head(arch, classes=3):
    return importlib.import_module(f"tfmap.tasks.detectors.{arch}").head(
        body(), classes, width=8, **SHALLOW.get(arch, {})
    )


def apart(net):
    """The network with proposals of which none are equally good: those may come in another order from a file."""
    for layer in net.layers:
        if layer.name.startswith("proposal_logits") and isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(keras.random.normal(layer.kernel.shape, stddev=0.5, seed=0))
    return net


@pytest.fixture(scope="module", params=task.ARCHITECTURES)
def net(request):
    return apart(head(request.param))


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(0, 255, (2, *SIZE, 3)).astype("float32")


def crowd(many):
    """As many boxes of all sizes."""
    rng = np.random.default_rng(1)
    low = rng.uniform(0, (56, 88), (many, 2))
    boxes = np.concatenate([low, np.minimum(low + rng.uniform(1, 60, (many, 2)), SIZE)], axis=1)
    return [(box, rng.integers(3)) for box in boxes]


ONE = ((8, 8, 40, 40), 1)
CASES = {
    "nothing": [],
    "one": [ONE],
    "the whole picture and its corners": [((0, 0, 64, 96), 2), ((0, 0, 1, 1), 0), ((62, 94, 64, 96), 1)],
    "one twice": [ONE, ONE, ((8, 8, 40, 40), 2)],
    "a crowd": crowd(500),
}


def truths(*rows):
    """Of each picture boxes and classes, padded."""
    most = max(map(len, rows)) + 1
    boxes, classes = np.zeros((len(rows), most, 4), "float32"), np.full((len(rows), most), -1, "int32")
    for picture, row in enumerate(rows):
        for place, (box, kind) in enumerate(row):
            boxes[picture, place], classes[picture, place] = box, kind
    return {"boxes": boxes, "classes": classes}


def said(net, images, targets):
    """What a loss takes."""
    return targets, taught.said(net, task.losses(model=net))(images)


def learned(net, images, targets, kind="cross_entropy"):
    """The loss of each picture and the gradients of one step."""
    loss = task.losses(kind, model=net)
    with tf.GradientTape() as tape:
        costs = loss(targets, taught.said(net, loss)(images, training=True))
    return np.asarray(costs), tape.gradient(costs, net.trainable_variables)


def test_boxes_of_some_size_and_scores_of_each_class(net, pictures):
    outputs = {name: np.asarray(value) for name, value in net(pictures).items()}
    places = PLACES[net.name.removesuffix("_tiny")]
    assert {name: value.shape for name, value in outputs.items()} == {"boxes": (2, places, 4), "scores": (2, places, 3)}
    assert (outputs["boxes"][..., 2:] > outputs["boxes"][..., :2]).all()
    assert ((outputs["scores"] > 0) & (outputs["scores"] < 0.2)).all()
    assert len(task.decode(outputs)) == 2


@pytest.mark.parametrize("kind", ["cross_entropy", pytest.param("focal", marks=pytest.mark.slow)])
def test_every_weight_learns_whatever_is_there(net, pictures, kind):
    images = np.concatenate([pictures, pictures, pictures[:1]])
    costs, gradients = learned(net, images, truths(*CASES.values()), kind)
    assert costs.shape == (len(CASES),)
    assert np.isfinite(costs).all()
    assert [w.path for w, g in zip(net.trainable_variables, gradients, strict=True) if g is None] == []
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("arch", task.ARCHITECTURES)
def test_one_class_is_enough(arch, pictures):
    net = head(arch, classes=1)
    assert net.output["scores"].shape[-1] == 1
    costs = task.losses(model=net)(*said(net, pictures, truths([((8, 8, 40, 40), 0)], [])))
    assert np.isfinite(costs).all()


def test_it_is_saved_and_loaded_and_goes_on_learning(net, pictures, tmp_path):
    net.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    targets = truths(CASES["one"], [])
    expected, received = (said(one, pictures, targets) for one in (net, again))
    for name, value in expected[1].items():
        np.testing.assert_allclose(received[1][name], value, atol=1e-4)
    costs = [task.losses(model=one)(*pair) for one, pair in ((net, expected), (again, received))]
    np.testing.assert_allclose(*costs, rtol=1e-4)


def test_it_becomes_a_file_that_says_what_it_says(net, pictures):
    """Boxes and scores as they are, in ops that every runtime has."""
    names = ("a", "b", "c")
    settings = {"format": "float32", "input_type": "float32", "suppression": False}
    file = export.tflite(net, classes=names, task="detection", **settings)
    graph, about = flatbuffer.read(file), metadata.read(file)
    assert not [op.name for op in graph.ops if op.custom]
    assert (about.labels, about.about["suppression"]) == (names, False)
    told = metadata.as_json(file)["subgraph_metadata"][0]["output_tensor_metadata"]
    assert [one["name"] for one in told] == ["boxes", "scores"]
    assert [tensor.shape[-1] for tensor in graph.outputs] == [4, 3]
    for picture in pictures:
        found = {name: values[0] for name, values in LiteModel(file).predict(picture[None]).items()}
        exact = {name: np.asarray(values)[0] for name, values in net(picture[None]).items()}
        order = np.arange(len(exact["boxes"]))
        if net.name == "faster_rcnn_tiny":  # proposals that are equally good may come in another order
            order = np.abs(found["boxes"][:, None] - exact["boxes"]).max(axis=-1).argmin(axis=0)
        for name, expected in exact.items():
            np.testing.assert_allclose(found[name][order], expected, atol=1e-4 * (1 if name == "scores" else max(SIZE)))


def test_in_mixed_precision_it_says_about_the_same(net, pictures):
    twin = trainer.in_precision(net, "mixed_float16")
    assert {twin.get_layer(name).compute_dtype for name in ("codes", "boxes", "scores", "logits")} == {"float32"}
    for name, expected in net(pictures).items():
        assert twin.output[name].dtype == "float32"
        if net.name != "faster_rcnn_tiny":  # a little off, and other proposals are the best
            np.testing.assert_allclose(twin(pictures)[name], expected, atol=0.05 if name == "scores" else 4)
    costs, _ = learned(twin, pictures, truths(CASES["one"], []))
    assert np.isfinite(costs).all()


def test_layers_belong_to_stages(net):
    stages = levels.stages(net)
    assert stages["boxes"] == stages["scores"] == len(levels.LEVELS) - 1


def test_what_is_exported_does_not_show_what_the_loss_reads(net):
    assert set(net.output) == {"boxes", "scores"}
    loss = task.losses(model=net)
    said = taught.said(net, loss)
    assert set(said.output) == {"boxes", "scores", *getattr(loss, "reads", ())}
    assert [id(w) for w in said.trainable_variables] == [id(w) for w in net.trainable_variables]


def test_only_the_last_layer_of_one_stage_is_one_that_export_cuts(net):
    found = [layer for layer in net.layers if isinstance(layer, heads.Boxes)]
    assert found == ([] if net.name == "faster_rcnn_tiny" else [net.get_layer("boxes")])
