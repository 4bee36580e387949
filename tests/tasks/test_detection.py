"""Detection by its eight names: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.test_average_precision import A, B, there
from tfmap import pipeline
from tfmap.datasets import load
from tfmap.errors import InputError
from tfmap.tasks import detection as task


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
    loss = task.losses(net)
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
    (found,) = task.decode(outputs((A, 0.9, 0), (B, 0.8, 1)), most=1)
    assert found.classes.tolist() == [0]
    (found,) = task.decode(outputs((A, 0.9, 0)), threshold=0.95)
    assert found.boxes.shape == (0, 4)


def test_a_place_may_be_two_classes():
    said = outputs((A, 0.9, 0))
    said["scores"][0, 0, 1] = 0.7
    (found,) = task.decode(said)
    assert found.classes.tolist() == [0, 1]


def test_decoded_boxes_are_scored():
    found = task.decode(outputs((A, 0.9, 0), (B, 0.8, 1)))
    assert task.score(found, there([(A, 0), (B, 1)]), classes=("a", "b"))["mAP"] == pytest.approx(1)


def test_the_metric_takes_what_the_network_says(net, cells):
    (metric,) = task.metrics(classes=3)
    assert metric.name == "mAP50"
    metric.update_state(task.targets(cells, classes=3), net(tf.cast(cells["image"], tf.float32)), cells["weight"])
    assert 0 <= float(metric.result()) <= 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"arch": "tfmap_dat"}, "model.arch must be one of tfmap_det, received 'tfmap_dat'. Did you mean 'tfmap_det'?"),
        ({"classes": 0}, "model: classes must be a whole number of at least 1, received 0."),
        ({"width": 4}, "model.width must be at least 8, received 4; 64 to 128 is usual."),
    ],
)
def test_what_cannot_be_built_is_told(options, text):
    with pytest.raises(InputError) as caught:
        task.build(**{"classes": 3, "backbone": "mobilenet_v1_025", **options})
    assert str(caught.value) == text
