"""tfmap_det: what comes out, what it says before it has learned, and that it learns and is saved."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfmap import boxes
from tfmap.tasks.detectors import anchors, heads, losses, tfmap_det


def body(**normalisation):
    """As small as a backbone can be."""
    keras.utils.set_random_seed(0)
    image = keras.Input((64, 96, 3), name="image")
    x, maps = keras.layers.Rescaling(1 / 127.5, offset=-1, **normalisation)(image), {}
    for level in range(1, 6):
        x = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
        maps[f"P{level}"] = x
    return keras.Model(image, {name: maps[name] for name in ("P3", "P4", "P5")}, name="tiny")


@pytest.fixture(scope="module")
def net():
    return tfmap_det.head(body(), classes=3, width=16, depth=1)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype("float32")


def test_one_box_and_all_scores_for_each_place(net, pictures):
    outputs = net.predict(pictures, verbose=0)
    places = 8 * 12 + 4 * 6 + 2 * 3
    assert outputs["boxes"].shape == (2, places, 4)
    assert outputs["scores"].shape == (2, places, 3)


def test_before_it_learns_nothing_is_likely_and_objects_are_four_strides_wide(net, pictures):
    outputs = net.predict(pictures, verbose=0)
    assert np.median(outputs["scores"]) == pytest.approx(heads.PRIOR, rel=0.5)
    cells = anchors.cells((64, 96), (8, 16, 32))
    sides = np.median(outputs["boxes"][..., 2:] - outputs["boxes"][..., :2], axis=0) / (cells[:, 2:] - cells[:, :2])
    assert np.median(sides) == pytest.approx(4, rel=0.25)


def test_codes_of_nothing_are_the_cells():
    layer = heads.Boxes((32, 32), (16,))
    np.testing.assert_allclose(layer(np.zeros((1, 4, 4), "float32"))[0], anchors.cells((32, 32), (16,)))
    code = np.array([[[1 / 4, 0, 0, np.log(2) / 4]] * 4], "float32")
    np.testing.assert_allclose(layer(code)[0, 0], [16, -8, 32, 24], rtol=1e-6)


def test_it_is_saved_and_loaded(net, pictures, tmp_path):
    net.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    for name, expected in net.predict(pictures, verbose=0).items():
        np.testing.assert_allclose(again.predict(pictures, verbose=0)[name], expected, atol=1e-5)


@pytest.mark.slow
def test_it_learns_a_picture(pictures):
    import tensorflow as tf

    net = tfmap_det.head(body(), classes=2, width=16, depth=1)
    truths = {
        "boxes": np.array([[[8, 8, 40, 40], [0, 0, 0, 0]], [[20, 50, 60, 90], [0, 0, 16, 16]]], "float32"),
        "classes": np.array([[0, -1], [1, 0]], "int32"),
    }
    loss = losses.one_stage(net.get_layer("boxes").anchors)
    optimizer = keras.optimizers.Adam(1e-2)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            cost = tf.reduce_mean(loss(truths, net(pictures, training=True)))
        optimizer.apply(tape.gradient(cost, net.trainable_variables), net.trainable_variables)
        return cost

    costs = [float(step()) for _ in range(150)]
    assert np.isfinite(costs).all()
    outputs = net(pictures, training=True)  # the statistics of norms are not there yet
    surest = np.argmax(np.asarray(outputs["scores"])[0, :, 0])
    assert float(boxes.overlap(outputs["boxes"][0, surest], truths["boxes"][0, 0])) > 0.7
    surest = np.argmax(np.asarray(outputs["scores"])[1, :, 1])
    assert float(boxes.overlap(outputs["boxes"][1, surest], truths["boxes"][1, 0])) > 0.7
