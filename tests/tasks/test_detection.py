"""Detection by its eight names: what goes in, what comes out, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfmap
from tests.tasks.detectors.test_tfmap_det import body
from tests.test_average_precision import A, B, there
from tfmap import pipeline, tasks
from tfmap.datasets import load
from tfmap.errors import InputError
from tfmap.runs import Run
from tfmap.source import Source
from tfmap.tasks import detection as task
from tfmap.tasks.detectors import anchors, tfmap_det, yolo
from tfmap.tasks.detectors.found import finished
from tfmap.tasks.detectors.losses import one_stage
from tfmap.train import trainer


@pytest.fixture(scope="module")
def cells():
    """A batch of real pictures with their boxes, 96 x 128."""
    split = load("sample:cells").split("val").take(np.arange(4))
    (batch,) = pipeline.batches(split, size=(96, 128), channels=3, prepare=task.prepare, batch_size=4, cache="none")
    return batch


@pytest.fixture(scope="module")
def net():
    return task.build(backbone="mobilenet_v1_025", classes=3, input_shape=(96, 128, 3), width=16)


def test_a_batch_is_what_the_spec_says(cells):
    spec = task.spec(classes=3, size=(96, 128), batch_size=4)
    for key, expected in spec.items():
        assert expected.is_compatible_with(cells[key])


def test_boxes_move_with_the_pixels(cells):
    split = load("sample:cells").split("val")
    mine = split.boxes.boxes[split.boxes.rows(0)]
    np.testing.assert_allclose(cells["boxes"][0, : len(mine)], mine * 0.4, rtol=1e-5)
    assert set(task.prepare({"image": tf.zeros((4, 4, 3), tf.uint8), "mask": tf.zeros((4, 4), tf.uint8)}, (2, 2))) == {
        "image"
    }


def test_boxes_without_an_area_are_not_there():
    boxes = np.array([[[0, 0, 9, 9], [0, 0, 9, 0.5], [5, 5, 4, 9], [0, 0, 0, 0]]], "float32")
    found = task.targets({"boxes": boxes, "classes": np.array([[2, 1, 1, -1]], "int32")}, classes=3)
    assert np.asarray(found["classes"]).tolist() == [[2, -1, -1, -1]]


def test_real_pictures_have_a_loss_that_falls_towards_the_truth(net, cells):
    outputs = net(tf.cast(cells["image"], tf.float32))
    truths = task.targets(cells, classes=3)
    loss = task.losses(model=net)
    before = np.asarray(loss(truths, outputs))
    assert before.shape == (4,)
    assert np.isfinite(before).all()
    # What a perfect network says: each object where its centre's cell of the finest map is, and nothing elsewhere.
    boxes, scores = np.array(outputs["boxes"]), np.full(outputs["scores"].shape, 0.01, "float32")
    for picture in range(4):
        for box, kind in zip(np.asarray(truths["boxes"][picture]), np.asarray(truths["classes"][picture]), strict=True):
            if kind >= 0:
                y, x = ((box[:2] + box[2:]) / 2 // 8).astype(int)
                boxes[picture, 16 * min(y, 11) + min(x, 15)] = box
                scores[picture, 16 * min(y, 11) + min(x, 15), kind] = 0.99
    assert (np.asarray(loss(truths, {"boxes": boxes, "scores": scores})) < 0.5 * before).all()


def outputs(*rows, classes=2):
    scores = np.zeros((1, len(rows), classes), "float32")
    for place, (_, value, kind) in enumerate(rows):
        scores[0, place, kind] = value
    return {"boxes": np.array([[box for box, _, _ in rows]], "float32"), "scores": scores}


def test_decoding_drops_what_a_better_box_of_the_class_covers():
    near = (0, 0, 40, 36)
    (found,) = task.decode(outputs((near, 0.6, 0), (A, 0.9, 0), (near, 0.5, 1), (B, 0.2, 1), (B, 0.001, 0)))
    np.testing.assert_array_equal(found.boxes, [A, near, B])
    np.testing.assert_allclose(found.scores, [0.9, 0.5, 0.2])
    assert found.classes.tolist() == [0, 1, 1]
    pair = {key: values[0] for key, values in outputs((A, 0.9, 0), (B, 0.8, 1)).items()}
    assert finished(**pair, most=1).classes.tolist() == [0]
    assert finished(**pair, threshold=0.95).boxes.shape == (0, 4)


def test_boxes_come_back_into_the_pixels_of_the_picture_and_end_at_its_borders():
    (found,) = task.decode(outputs(((-8, 4, 16, 40), 0.9, 0)), size=(32, 32), whole=np.array([[64, 16]]))
    np.testing.assert_allclose(found.boxes, [[0, 2, 32, 16]])


def test_what_is_found_is_described_and_drawn_from_a_threshold_on():
    (found,) = task.decode(outputs((A, 0.9, 0), (B, 0.2, 1)))
    (row,) = task.describe(found, classes=("a", "b"))
    assert (row["label"], row["box"]) == ("a", list(A))
    assert row["score"] == pytest.approx(0.9)
    assert len(task.describe(found, classes=("a", "b"), threshold=0.1)) == 2
    shown = task.drawn(np.zeros((100, 100, 3), np.uint8), found, classes=("a", "b"))
    assert (shown.text, shown.classes.tolist()) == ("1 box", [0])


def test_a_place_may_be_two_classes():
    said = outputs((A, 0.9, 0))
    said["scores"][0, 0, 1] = 0.7
    (found,) = task.decode(said)
    assert found.classes.tolist() == [0, 1]


def test_decoded_boxes_are_scored():
    found = task.decode(outputs((A, 0.9, 0), (B, 0.8, 1)))
    assert task.score(found, there([(A, 0), (B, 1)]), classes=("a", "b"))["mAP"] == pytest.approx(1)


def test_the_score_tells_the_threshold_and_what_is_taken_for_what():
    found = task.decode(outputs((A, 0.9, 0), (B, 0.8, 0), ((0, 60, 20, 80), 0.3, 1)))
    numbers = task.score(found, there([(A, 0), (B, 1)]), classes=("a", "b"))
    assert (numbers["examples"], numbers["threshold"]) == (1, 0.89)
    assert numbers["confusion_matrix"] == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_the_metric_takes_what_the_network_says(net, cells):
    (metric,) = task.metrics(classes=3)
    assert metric.name == "mAP50"
    metric.update_state(task.targets(cells, classes=3), net(tf.cast(cells["image"], tf.float32)), cells["weight"])
    assert 0 <= float(metric.result()) <= 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"arch": "tfmap_dat"},
            "model.arch must be one of tfmap_det, yolo, retinanet, ssd, faster_rcnn, received 'tfmap_dat'. "
            "Did you mean 'tfmap_det'?",
        ),
        ({"classes": 0}, "model: classes must be a whole number of at least 1, received 0."),
        ({"width": 4}, "model.width must be at least 8, received 4; 64 to 128 is usual."),
    ],
)
def test_what_cannot_be_built_is_told(options, text):
    with pytest.raises(InputError) as caught:
        task.build(**{"classes": 3, "backbone": "mobilenet_v1_025", **options})
    assert str(caught.value) == text


def test_focal_turns_to_scores_that_are_far_off():
    scores = np.array([[0.9], [0.5]], "float32")
    plain, focal = (one_stage(anchors.cells((16, 32), (16,)), gamma=gamma) for gamma in (0.0, 2.0))
    nothing = {"boxes": np.zeros((1, 1, 4), "float32"), "classes": np.array([[-1]], "int32")}
    said = {"boxes": np.zeros((1, 2, 4), "float32"), "scores": scores[None]}
    expected = sum(-np.log(1 - s) * s**2 for s in (0.9, 0.5))
    assert float(focal(nothing, said)[0]) == pytest.approx(expected, rel=1e-4)
    assert float(plain(nothing, said)[0]) == pytest.approx(sum(-np.log(1 - s) for s in (0.9, 0.5)), rel=1e-4)


def test_an_unknown_loss_is_told(net):
    text = "train.loss must be cross_entropy or focal in detection, received 'logit_adjustment'"
    with pytest.raises(InputError, match=text):
        task.losses("logit_adjustment", model=net)


def test_a_model_that_was_not_built_here_has_no_loss_of_its_own():
    layers = keras.layers
    image = keras.Input((64, 96, 3), name="image")
    x = layers.Reshape((-1, 4))(layers.Conv2D(4, 8, strides=8)(image))
    net = keras.Model(
        image, {"boxes": layers.ReLU(name="boxes")(x), "scores": layers.ReLU(name="scores")(x)}, name="own"
    )
    with pytest.raises(InputError) as caught:
        task.losses(model=net)
    assert str(caught.value) == (
        "train: the loss of a detector is known by its layer 'boxes', which own does not have. Build the model with "
        "tfmap.tasks.detection.build, or train it with a loss of your own."
    )


def test_boxes_weigh_as_much_as_is_said(net, cells):
    outputs, truths = net(tf.cast(cells["image"], tf.float32)), task.targets(cells, classes=3)
    costs = [task.losses(model=net, box_weight=weight)(truths, outputs) for weight in (0.0, 7.5, None, 15.0)]
    np.testing.assert_allclose(costs[1], costs[2])
    np.testing.assert_allclose(costs[3] - costs[1], costs[1] - costs[0], rtol=1e-4)


@pytest.fixture
def known(monkeypatch):
    """Detection as a task: its other stages are yet to come."""
    monkeypatch.setattr(tasks, "NAMES", ("classification", "detection"))


def test_it_trains(tmp_path):
    """The one whose loss reads most."""
    net = yolo.head(body(), classes=3, width=8, depth=1)
    source = load("sample:cells")
    few = replace(source, splits={name: split.take(np.arange(4)) for name, split in source.splits.items()})
    options = {"epochs": 2, "pipeline": {"batch_size": 2}, "ema": 0.5, "verbose": False, "out": tmp_path}
    tfmap.fit(net, few, task="detection", augment="flip|zoom(.2)|mosaic", **options)
    rows = Run(tmp_path).read_rows("history.csv")
    assert [float(row["val_mAP50"]) >= 0 for row in rows] == [True, True]
    assert all(np.isfinite(float(row["val_loss"])) for row in rows)
    assert all(np.isfinite(weight).all() for weight in net.get_weights())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"tau": 2.0}, "train.tau says nothing to the task detection, received 2.0. Leave it out."),
        (
            {"label_smoothing": 0.2},
            "train.label_smoothing says nothing to the task detection, received 0.2. Leave it out.",
        ),
    ],
)
def test_settings_of_other_tasks_are_told(known, net, settings, text):
    with pytest.raises(InputError) as caught:
        tfmap.fit(net, load("sample:cells"), task="detection", **settings)
    assert str(caught.value) == text


def test_models_and_data_of_other_tasks_are_told(known, net, trash_split, trash_classes):
    source = Source("photos", trash_classes, {"train": trash_split})
    with pytest.raises(InputError, match="train: photos has labels; the task detection wants boxes"):
        tfmap.fit(net, source, task="detection")
    with pytest.raises(InputError, match=r"expected a model of one picture and one output \(B, K\), received inputs"):
        tfmap.fit(net, source)
    two = task.build(backbone="mobilenet_v1_025", classes=2, input_shape=(96, 128, 3), width=8)
    text = "the model has 2 outputs but sample:cells has 3 classes. Build it with classes=3"
    with pytest.raises(InputError, match=text):
        tfmap.fit(two, load("sample:cells"), task="detection")


def test_what_it_says_stays_exact_in_mixed_precision():
    twin = trainer.in_precision(tfmap_det.head(body(), classes=3, width=8, depth=1), "mixed_float16")
    assert {twin.get_layer(name).compute_dtype for name in ("codes", "boxes", "scores", "logits")} == {"float32"}
    assert {"float16"} == {
        layer.compute_dtype for layer in twin.layers if "_pointwise" in layer.name or "edges" in layer.name
    }
