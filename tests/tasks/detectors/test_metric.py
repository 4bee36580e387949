"""The average precision on the device beside COCO's own."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.test_average_precision import A, B, there
from tfmap import average_precision, boxes
from tfmap.tasks.detectors.metric import AveragePrecision


def outputs(*rows, classes=2):
    """Outputs of one picture: (box, score, class) each."""
    scores = np.zeros((1, len(rows), classes), "float32")
    for place, (_, score, kind) in enumerate(rows):
        scores[0, place, kind] = score
    return {"boxes": np.array([[box for box, _, _ in rows]], "float32"), "scores": scores}


def truths(*rows):
    return {
        "boxes": np.array([[box for box, _ in rows]], "float32"),
        "classes": np.array([[k for _, k in rows]], "int32"),
    }


NOTHING = ((0, 0, 0, 0), -1)


def received(true, said, **options):
    metric = AveragePrecision(2, **options)
    metric.update_state(true, said)
    return float(metric.result())


def test_all_found_is_one_and_nothing_is_zero():
    true = truths((A, 0), (B, 1), NOTHING)
    assert received(true, outputs((A, 0.9, 0), (B, 0.8, 1))) == pytest.approx(1)
    assert received(true, outputs((A, 0.9, 1), (B, 0.8, 0))) == 0
    assert received(truths(NOTHING), outputs((A, 0.9, 0))) == 0


def test_many_places_on_one_object_do_not_hide_the_others():
    """Of a real detector a dozen places find each cell: the best hundred were those of a few cells."""
    crowd = [((0.1 * i, 0, 40, 40), 0.9 - 0.001 * i, 0) for i in range(30)]
    assert received(truths((A, 0), (B, 0)), outputs(*crowd, (B, 0.5, 0)), most=10) == pytest.approx(1)


def test_a_false_alarm_above_costs_half_and_one_below_nothing():
    true = truths((A, 0))
    assert received(true, outputs((B, 0.9, 0), (A, 0.8, 0))) == pytest.approx(0.5)
    assert received(true, outputs((B, 0.7, 0), (A, 0.8, 0))) == pytest.approx(1)


def test_a_second_box_on_one_object_is_dropped_or_a_false_alarm():
    near = (0, 0, 40, 25)  # an IoU of 0.625
    true = truths((A, 0), (B, 0))
    said = outputs((A, 0.9, 0), (near, 0.8, 0), (B, 0.7, 0))
    assert received(true, said, suppress=0.6) == pytest.approx(1)
    assert received(true, said, suppress=0.65) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_a_picture_of_no_weight_does_not_count():
    both = {key: np.concatenate([x, x]) for key, x in truths((A, 0)).items()}
    said = {key: np.concatenate([x, 0 * x]) for key, x in outputs((A, 0.9, 0)).items()}
    metric = AveragePrecision(2)
    metric.update_state(both, said, np.array([1.0, 0.0], "float32"))
    assert float(metric.result()) == pytest.approx(1)
    metric.reset_state()
    metric.update_state(both, said)
    assert float(metric.result()) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_cocos_to_a_hundredth(seed):
    rng = np.random.default_rng(seed)
    pictures, metric = 24, AveragePrecision(3)
    update, found, listed = tf.function(metric.update_state), [], []
    for _ in range(pictures):
        low = rng.uniform(0, 80, (6, 2))
        objects = np.concatenate([low, low + rng.uniform(15, 40, (6, 2))], axis=1).astype("float32")
        kinds = rng.integers(0, 3, 6).astype("int32")
        said = np.concatenate([objects + rng.normal(0, 3, (6, 4)), rng.uniform(0, 60, (20, 4))]).astype("float32")
        said[:, 2:] = np.maximum(said[:, 2:], said[:, :2] + 4)
        scores = rng.uniform(0, 0.4, (26, 3)).astype("float32")
        scores[np.arange(6), kinds] += 0.3
        truth = {"boxes": tf.constant(objects[None]), "classes": tf.constant(kinds[None])}
        update(truth, {"boxes": tf.constant(said[None]), "scores": tf.constant(scores[None])})
        owners, best = scores.argmax(1), scores.max(1)
        kept = [i for k in range(3) for i in _kept(said, best, owners, k)]
        found.append(average_precision.Found(said[kept], best[kept], owners[kept]))
        listed.append(list(zip(objects, kinds, strict=True)))
    expected = average_precision.score(found, there(*listed), ("a", "b", "c"))["mAP50"]
    assert 0.2 < expected < 0.9
    assert float(metric.result()) == pytest.approx(expected, abs=0.01)


def _kept(said, best, owners, kind):
    mine = np.flatnonzero(owners == kind)
    return mine[boxes.suppress(said[mine], best[mine], threshold=0.6)]
