"""What is left whole unless told otherwise: few weights on which all others depend."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from tests.tasks.detectors.test_tfmap_det import body
from tfmap import tasks
from tfmap.compress import bridge, ends, lessons
from tfmap.models.levels import marked
from tfmap.tasks.detectors import retinanet, ssd, tfmap_det, yolo
from tfmap.tasks.segmenters import unet


def bridged(net, task):
    lesson = lessons.of(tasks.get(task), net, 3)
    return bridge.to_tf_keras(lesson.network if lesson else net)


def test_of_a_classifier_the_first_convolution_and_the_last_dense_layer():
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, name="stem")(layers.Rescaling(1 / 255)(image))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 1, name="middle")(x)))
    x = layers.Dense(8, name="wide")(layers.GlobalAveragePooling2D()(x))
    net = keras.Model(image, layers.Softmax()(layers.Dense(3, name="top")(x)))
    assert ends.of(bridged(net, "classification")) == {"stem", "top"}


def test_a_norm_at_the_end_is_not_the_last_layer():
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, name="stem")(image)
    x = layers.BatchNormalization()(layers.Conv2D(3, 1, use_bias=False, name="last")(layers.Conv2D(4, 1)(x)))
    net = keras.Model(image, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))
    assert ends.of(bridged(net, "classification")) == {"stem", "last"}


@pytest.mark.parametrize(
    "arch",
    [tfmap_det, pytest.param(yolo, marks=pytest.mark.slow), pytest.param(retinanet, marks=pytest.mark.slow), ssd],
)
def test_of_a_detector_what_every_map_says(arch):
    kept = ends.of(bridged(arch.head(marked(body()), 3, width=8), "detection"))
    spoken = {name for name in kept if name.startswith(("codes_", "distributions_", "logits_"))}
    assert len(kept - spoken) == 1
    for level in ("P4", "P5") if arch is ssd else ("P3", "P4", "P5"):
        assert len([name for name in spoken if level in name]) == 2


def test_of_a_segmenter_the_scores():
    kept = ends.of(bridged(unet.head(marked(body(name="normalisation")), 3, width=16), "segmentation"))
    assert len(kept) == 2
    assert "scores_conv" in kept
