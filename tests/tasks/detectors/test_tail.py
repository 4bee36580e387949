"""A detector's last layer, cut off and put back."""

from __future__ import annotations

import keras
import numpy as np

from tests.tasks.detectors.test_tfmap_det import body
from tfmap.export import convert
from tfmap.models.levels import marked
from tfmap.tasks.detectors import tail, tfmap_det, yolo


def test_cut_and_mended_it_says_the_same():
    net = tfmap_det.head(marked(body()), 2, width=8)
    layer = tail.boxes_of(net)
    again = tail.mended(tail.cut(net), layer)
    image = np.random.default_rng(0).uniform(0, 255, (2, *net.input_shape[1:])).astype("float32")
    expected, received = net(image), again(image)
    assert list(received) == list(expected)
    for name in expected:
        np.testing.assert_allclose(received[name], expected[name], rtol=1e-6)
    assert tail.boxes_of(again) is not layer
    assert tail.boxes_of(again).arch == "tfmap_det"


def test_further_outputs():
    net = yolo.head(marked(body()), 2, width=8)
    assert list(tail.cut(net, also=("distributions",)).output) == ["codes", "scores", "distributions"]


def test_a_file_tells_what_was_cut_off():
    net = tfmap_det.head(marked(body()), 2, width=8)
    layer = tail.boxes_of(net)
    image = keras.Input((8, 8, 3))
    file = convert.float32(keras.Model(image, keras.layers.Rescaling(0.5)(image)))
    assert tail.note(file) is None
    again = tail.note(tail.noted(file, layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again.anchors, layer.anchors)


def test_another_model_has_no_such_layer():
    image = keras.Input((8, 8, 3))
    net = keras.Model(image, keras.layers.Dense(2)(image))
    assert tail.boxes_of(net) is None
    assert tail.cut(net) is net
