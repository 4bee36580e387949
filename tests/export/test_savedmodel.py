"""A SavedModel answers to encoded pictures as the pipeline and the Keras model do."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfmap import pixels
from tfmap.errors import InputError
from tfmap.export import representative, savedmodel
from tfmap.source import Split


@pytest.fixture(scope="module")
def encoded():
    """Eight photographs as they stand on disk, one as PNG, and as a Split."""
    from tfmap.datasets import samples

    paths = sorted((samples.folder("trash") / "glass").glob("*.jpg"))[:8]
    data = [path.read_bytes() for path in paths]
    png = io.BytesIO()
    Image.open(paths[0]).save(png, "png")
    data[0] = png.getvalue()
    images = np.array(data, dtype=object)
    names = np.array([path.name for path in paths], dtype=object)
    return data, Split("encoded", images, np.zeros(8, np.int32), names, np.zeros(8, bool))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, classifier, trash_classes):
    folder = tmp_path_factory.mktemp("saved") / "saved_model"
    savedmodel.write(folder, classifier, classes=trash_classes)
    return tf.saved_model.load(str(folder))


def test_encoded_pictures_get_the_scores_of_the_pipeline(loaded, classifier, encoded, trash_classes):
    data, split = encoded
    found = loaded.signatures["serving_default"](image_bytes=tf.constant(data))
    pictures, _ = representative.pictures(split, shape=(48, 48, 3))
    wanted = classifier.predict(pictures.astype("float32"), verbose=0)
    np.testing.assert_allclose(found["scores"].numpy(), wanted, atol=1e-5)
    assert found["labels"].numpy().astype(str).tolist() == [list(trash_classes)] * 8


def test_pixels_get_the_scores_of_the_model(loaded, classifier, photos):
    found = loaded.signatures["pixels"](image=tf.constant(photos[0][:5]))["scores"].numpy()
    np.testing.assert_allclose(found, classifier.predict(photos[0][:5].astype("float32"), verbose=0), atol=1e-5)


def test_bytes_that_are_no_picture(loaded):
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.signatures["serving_default"](image_bytes=tf.constant([b"no picture"]))


def test_a_model_in_half_precision_is_saved_in_single(tmp_path):
    import keras

    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, dtype="mixed_float16")(inputs)
    outputs = keras.layers.Dense(2, activation="softmax", dtype="float32")(keras.layers.GlobalMaxPooling2D()(x))
    model = keras.Model(inputs, outputs)
    savedmodel.write(tmp_path / "saved_model", model, classes=("a", "b"))
    found = tf.saved_model.load(str(tmp_path / "saved_model"))
    picture = np.full((1, 16, 16, 3), 7, np.uint8)
    assert found.signatures["pixels"](image=tf.constant(picture))["scores"].dtype == tf.float32


def test_other_classes_than_outputs(tmp_path, classifier):
    with pytest.raises(InputError, match="^export: the model has 6 outputs but classes has 2 names."):
        savedmodel.write(tmp_path / "saved_model", classifier, classes=("a", "b"))
    assert not (tmp_path / "saved_model").exists()


def test_a_picture_that_exif_turns_is_not_turned(loaded, encoded):
    """A limit that the module's docstring states: the graph holds TensorFlow's decoders."""
    upright, turned, exif = io.BytesIO(), io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(encoded[0][1]))
    image.save(upright, "jpeg")
    image.save(turned, "jpeg", exif=exif)
    assert pixels.read(turned.getvalue()).shape == pixels.read(upright.getvalue()).transpose(1, 0, 2).shape
    data = tf.constant([upright.getvalue(), turned.getvalue()])
    scores = loaded.signatures["serving_default"](image_bytes=data)["scores"].numpy()
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)
