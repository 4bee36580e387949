"""ONNX files answer in ONNX Runtime as the Keras model does (extra onnx)."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfmap.errors import InputError
from tfmap.export import formats, onnx

pytestmark = pytest.mark.slow  # minutes of conversion and training on two cores

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")


def test_the_answers_are_those_of_keras(tmp_path, classifier, photos):
    onnx.write(tmp_path / "model.onnx", classifier)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(["scores"], {"image": photos[0]})
    np.testing.assert_allclose(found, classifier.predict(photos[0].astype("float32"), verbose=0), atol=1e-5)
    (signature,) = session.get_inputs()
    assert (signature.type, signature.shape[1:]) == ("tensor(uint8)", [48, 48, 3])


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["mobilenet_v3_small", "efficientnet_lite0", "mobilenet_v2_100"])
def test_backbones(tmp_path, backbone):
    from tfmap.tasks import classification

    onnx.write(tmp_path / "m.onnx", classification.build(backbone, classes=3, input_shape=(96, 96, 3), weights=None))
    assert (tmp_path / "m.onnx").stat().st_size > 1_000_000


def test_a_normalization_layer(tmp_path):
    inputs = keras.Input((8, 8, 3))
    normal = keras.layers.Normalization(mean=[100.0, 110.0, 120.0], variance=[2500.0, 2400.0, 2600.0])
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(normal(inputs)))
    onnx.write(tmp_path / "m.onnx", keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x)))
    assert (tmp_path / "m.onnx").is_file()


def test_a_model_that_cannot_be_translated(tmp_path):
    import tensorflow as tf

    class Odd(keras.layers.Layer):
        def call(self, x):
            return tf.raw_ops.Igamma(a=tf.abs(x) + 1, x=tf.abs(x) + 1)

    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(Odd()(inputs)), name="odd")
    with pytest.raises(InputError, match=r"^export.also: (tf2onnx cannot translate|ONNX Runtime cannot run) odd: "):
        onnx.write(tmp_path / "m.onnx", model)
    assert not list(tmp_path.iterdir())


def test_an_answer_that_differs_is_refused(classifier):
    """A model whose weights changed after it was converted stands for a conversion that went wrong."""
    data = onnx._converted(classifier)
    other = keras.models.clone_model(classifier)
    with pytest.raises(
        InputError, match=r"^export.also: tiny as ONNX differs from Keras by .*, more than 0.0001. Use "
    ):
        onnx._check(data, other)


def test_without_the_extra(monkeypatch, tmp_path, classifier):
    import sys

    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(
        InputError, match=r"^export.also: onnx needs its extra \(.*\). Install it: pip install 'tfmap\["
    ):
        onnx.write(tmp_path / "m.onnx", classifier)


def test_the_written_file_is_compared_with_its_model(tmp_path, classifier, photos):
    onnx.write(tmp_path / "model.onnx", classifier)
    formats.compare("onnx", tmp_path / "model.onnx", classifier, photos[0][:4])
    other = keras.models.clone_model(classifier)
    with pytest.raises(
        InputError, match=r"model.onnx \(scores\) differs from tiny by 0\.\d+ in a score, expected at mo"
    ):
        formats.compare("onnx", tmp_path / "model.onnx", other, photos[0][:4])
