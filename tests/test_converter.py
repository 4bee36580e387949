import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfmap import converter
from tfmap.converter import refusing
from tfmap.errors import InputError


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "no reason given"),
        ("\nNode number 3 (CONV_2D) failed to prepare.\nmore", "Node number 3 \\(CONV_2D\\) failed to prepare"),
        ("about it\n<unknown>:0: error: loc(\"top\"): 'tf.Odd' op is odd.", "'tf.Odd' op is odd"),
    ],
)
def test_the_line_that_says_what_is_wrong(said, told):
    text = f"^export: TensorFlow's converter cannot make a .tflite file of net: {told}. Do it otherwise.$"
    with pytest.raises(InputError, match=text), refusing("export", "net", way_out="Do it otherwise."):
        raise RuntimeError(said)


def test_errors_of_ours_and_of_others_pass():
    with pytest.raises(InputError, match="^mine$"), refusing("export", "net", way_out=""):
        raise InputError("mine")
    with pytest.raises(KeyError), refusing("export", "net", way_out=""):
        raise KeyError("bug")


def test_weights_become_constants_and_answers_stay(tmp_path):
    """Also behind an activation that has a gradient of its own, and in outputs with names."""
    image = tf_keras.Input((8, 8, 3))
    x = tf_keras.layers.Activation("swish")(tf_keras.layers.Conv2D(4, 3)(image))
    model = tf_keras.Model(image, {"b": x, "a": tf_keras.layers.GlobalAveragePooling2D()(x)})
    signature = tf.TensorSpec((None, 8, 8, 3), tf.float32, name="image")
    converter.save(lambda image: model(image, training=False), signature, tmp_path / "saved")
    loaded = tf.saved_model.load(tmp_path / "saved")
    assert not loaded.signatures["serving_default"].variables
    pictures = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype("float32")
    found, expected = loaded.signatures["serving_default"](image=tf.constant(pictures)), model(pictures)
    assert set(found) == {"a", "b"}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)
