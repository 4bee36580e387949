"""Layers rewritten: the same model, an int8 file that keeps every grey level, and one without NEG."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tfmap import flatbuffer
from tfmap.centred import CentredNormalization
from tfmap.export import convert, quantizer, rewriting
from tfmap.litert import LiteModel
from tfmap.models import normalisation


def _net(first, channels=3):
    inputs = keras.Input((48, 48, channels))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(first(inputs))
    return keras.Model(inputs, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))


AFFINE = sorted(set(normalisation.KINDS) - {"caffe"})


@pytest.mark.parametrize("kind", AFFINE)
def test_the_outputs_are_those_of_the_model(kind, photos):
    model = _net(normalisation.layer(kind, 3))
    copy = rewriting.for_integers(model)
    pictures = photos[0].astype("float32")
    np.testing.assert_allclose(copy.predict(pictures, verbose=0), model.predict(pictures, verbose=0), atol=1e-6)
    assert type(copy.get_layer("normalisation")) is rewriting.Subtraction


def _two_readers(x):
    y, z = layers.Conv2D(4, 3, padding="same")(x), layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    return layers.Concatenate()([y, z, layers.SeparableConv2D(4, 3, padding="same")(x)])


def _sequential(x):
    return keras.Sequential([layers.ZeroPadding2D(), layers.Conv2D(4, 3)])(x)


def _deep(x):
    image = keras.Input(x.shape[1:])
    return keras.Model(image, _sequential(layers.ZeroPadding2D(2)(image)))(x)


CARRIED = {
    "padded": lambda x: layers.Conv2D(4, 3, use_bias=False)(layers.ZeroPadding2D(2)(x)),
    "two readers": _two_readers,
    "sequential": _sequential,
    "in a model within a model": _deep,
}


def _answering(body, kind="torch"):
    image = keras.Input((48, 48, 3))
    x = body(normalisation.layer(kind, 3)(image))
    model = keras.Model(image, layers.Dense(3)(layers.GlobalMaxPooling2D()(x)))
    for weight in model.weights:
        if weight.name == "bias":
            weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    return model


def _answers(model, photos):
    return model.predict(photos[0].astype("float32"), verbose=0)


def _first_of_an_equal_copy(body, photos):
    """What the normalisation has become, in a copy that answers as the model does."""
    model = _answering(body)
    copy = rewriting.for_integers(model)
    expected = _answers(model, photos)
    np.testing.assert_allclose(_answers(copy, photos), expected, atol=1e-5 * np.abs(expected).max())
    return type(copy.get_layer("normalisation"))


@pytest.mark.parametrize("body", CARRIED.values(), ids=CARRIED)
def test_kernels_carry_the_factor(body, photos):
    assert _first_of_an_equal_copy(body, photos) is rewriting.Subtraction


def _shared(x):
    conv = layers.Conv2D(4, 3)
    return conv(layers.Activation("sigmoid")(conv(layers.Conv2D(3, 1)(conv(x)[..., :3]))[..., :3]))


def _shared_model(x):
    inner = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(3, 3)])
    return inner(inner(x))


def _adapted(x):
    layer = layers.Conv2D(4, 3, padding="same")
    y = layer(x)
    layer.enable_lora(2)
    return y


NOT_CARRIED = {
    "a pooling": lambda x: layers.Conv2D(4, 3)(layers.MaxPooling2D()(x)),
    "one reader of two": lambda x: layers.Concatenate()([layers.Conv2D(4, 3, padding="same")(x), x]),
    "a layer that is used again": _shared,
    "a model that is used again": _shared_model,
    "groups": lambda x: layers.Conv2D(6, 3, groups=3)(x),
    "an adapter": _adapted,
}


@pytest.mark.parametrize("body", NOT_CARRIED.values(), ids=NOT_CARRIED)
def test_what_cannot_carry_the_factor_reads_one_depthwise_convolution(body, photos):
    assert _first_of_an_equal_copy(body, photos) is layers.DepthwiseConv2D


def test_a_model_that_gives_its_scaled_pictures_away_keeps_the_factor():
    image = keras.Input((48, 48, 3))
    x = normalisation.layer("tf", 3)(image)
    copy = rewriting.for_integers(keras.Model(image, [layers.Conv2D(2, 3)(x), x]))
    assert type(copy.get_layer("normalisation")) is layers.DepthwiseConv2D


def test_a_factor_alone_is_no_op_at_all(photos):
    model = _answering(lambda x: layers.Conv2D(4, 3)(layers.Rescaling(1 / 255, name="factor")(x)), "caffe")
    file = flatbuffer.read(convert.int8(_net(layers.Rescaling(1 / 255, name="factor")), photos[0]))
    assert [op.name for op in file.ops][:2] == ["QUANTIZE", "CONV_2D"]
    copy = rewriting.for_integers(model)
    assert type(copy.get_layer("factor")) is layers.Identity
    np.testing.assert_allclose(_answers(copy, photos), _answers(model, photos), atol=1e-4)


@pytest.mark.parametrize("engine", [convert, quantizer], ids=["converter", "ai-edge-quantizer"])
def test_an_integer_file_begins_with_a_subtraction(engine, photos):
    names = [op.name for op in flatbuffer.read(engine.int8(_net(normalisation.layer("tf", 3)), photos[0])).ops]
    assert names[:3] == ["QUANTIZE", "SUB", "CONV_2D"]


def test_a_subtraction_can_be_cloned():
    model = rewriting.for_integers(_answering(CARRIED["padded"]))
    layer = keras.models.clone_model(model).get_layer("normalisation")
    np.testing.assert_allclose(layer(np.zeros((1, 3)))[0], [-123.675, -116.28, -103.53], rtol=1e-6)


def test_grey_pictures_too():
    model = _net(layers.Rescaling(1 / 127.5, offset=-1), channels=1)
    pictures = np.random.default_rng(0).uniform(0, 255, (4, 48, 48, 1)).astype("float32")
    np.testing.assert_allclose(
        rewriting.for_integers(model).predict(pictures, verbose=0), model.predict(pictures, verbose=0), atol=1e-6
    )


def test_models_within_models_too(photos):
    inner = _net(layers.Rescaling(1 / 127.5, offset=-1, name="deep"))
    inputs = keras.Input((48, 48, 3))
    model = keras.Model(inputs, layers.Dense(2)(inner(inputs)))
    copy = rewriting.for_integers(model)
    pictures = photos[0].astype("float32")
    np.testing.assert_allclose(copy.predict(pictures, verbose=0), model.predict(pictures, verbose=0), atol=1e-6)
    assert not any(type(layer) is layers.Rescaling for layer in copy._flatten_layers())


def test_sequential_models_within_models_too(photos):
    front = keras.Sequential([layers.Rescaling(1 / 127.5, offset=-1), layers.Conv2D(4, 3, strides=2)])
    inputs = keras.Input((48, 48, 3))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(front(inputs)))
    copy = rewriting.for_integers(model)
    pictures = photos[0].astype("float32")
    np.testing.assert_allclose(copy.predict(pictures, verbose=0), model.predict(pictures, verbose=0), atol=1e-5)
    assert not any(type(layer) is layers.Rescaling for layer in copy._flatten_layers())


def test_a_model_with_a_subclass_inside_is_returned():
    class Own(keras.Model):
        def call(self, x):
            return 2 * x

    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, Own()(layers.Rescaling(1 / 127.5, offset=-1)(inputs)))
    assert rewriting.for_integers(model) is model


def test_the_callers_model_is_left_alone(photos):
    model = _net(layers.Rescaling(1 / 127.5, offset=-1, name="first"))
    before = model.get_weights()
    rewriting.for_integers(model)
    assert type(model.get_layer("first")) is layers.Rescaling
    assert len(model.get_layer("conv")._inbound_nodes) == 1
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("first", [layers.Identity(), normalisation.layer("caffe", 3)])
def test_a_model_without_a_factor_is_returned(first):
    model = _net(first)
    assert rewriting.for_integers(model) is model


@pytest.mark.parametrize("kind", AFFINE)
def test_no_tensor_before_the_first_convolution_loses_grey_levels(kind, photos):
    made = flatbuffer.read(convert.int8(_net(normalisation.layer(kind, 3)), photos[0]))
    scale, offset = (np.broadcast_to(value, 3) for value in normalisation.KINDS[kind])
    levels = 255 + np.ptp(offset / scale)  # one range for all three channels
    assert [op.outputs[0].scale for op in made.ops[:2]] == [(1.0,), (pytest.approx(levels / 255, rel=1e-3),)]


def test_a_rescaling_of_vectors_stays():
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Dense(2)(layers.Rescaling(2.0, offset=1.0)(inputs)))
    assert rewriting.for_integers(model) is model


@pytest.mark.parametrize("axis", [-1, (1, 3), None])
def test_a_normalization_becomes_a_rescaling(axis):
    shape = {-1: (3,), (1, 3): (4, 3), None: ()}[axis]
    rng = np.random.default_rng(0)
    mean, variance = rng.uniform(80, 140, shape), rng.uniform(1000, 3000, shape)
    inputs = keras.Input((4, 5, 3))
    inner = keras.Sequential(
        [keras.Input((4, 5, 3)), keras.layers.Normalization(axis, mean, variance), keras.layers.ReLU()]
    )
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inner(inputs)))
    pictures = rng.uniform(0, 255, (2, 4, 5, 3)).astype("float32")
    found = rewriting.without_normalization(model)
    assert not [layer for layer in found._flatten_layers() if isinstance(layer, keras.layers.Normalization)]
    np.testing.assert_allclose(found(pictures), model(pictures), atol=1e-4)


def test_an_adapted_normalization_keeps_what_it_has_learned(photos):
    adapted = layers.Normalization()
    adapted.adapt(photos[0].astype("float32"))
    image = keras.Input((48, 48, 3))
    model = keras.Model(image, layers.Conv2D(4, 3)(adapted(layers.Rescaling(0.5, 3.0)(image))))
    folded = rewriting.for_integers(model)
    assert folded is not model
    pictures = photos[0][:4].astype("float32")
    np.testing.assert_allclose(folded(pictures), model(pictures), atol=1e-4)


def test_a_model_without_normalization_is_left_alone(classifier):
    assert rewriting.without_normalization(classifier) is classifier


@pytest.fixture(scope="module")
def normed():
    """A convolutional network with LayerNormalization over channels, and over all of a picture without its scale."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((24, 24, 3))
    x = layers.LayerNormalization(name="first")(layers.Conv2D(8, 3, strides=2)(layers.Rescaling(1 / 255)(inputs)))
    x = layers.LayerNormalization(axis=[1, 2, 3], scale=False, name="whole")(layers.Conv2D(8, 3, activation="relu")(x))
    model = keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    rng = np.random.default_rng(0)
    for weight in (*model.get_layer("first").weights, *model.get_layer("whole").weights):
        weight.assign(rng.normal(1, 0.3, weight.shape))
    return model


def test_a_layer_normalization_answers_as_before(normed, photos):
    copy = rewriting.for_integers(normed)
    assert [type(copy.get_layer(name)) for name in ("first", "whole")] == [CentredNormalization] * 2
    pictures = photos[0][:, ::2, ::2].astype("float32")
    np.testing.assert_allclose(copy.predict(pictures, verbose=0), normed.predict(pictures, verbose=0), atol=1e-5)


@pytest.mark.parametrize("engine", [convert, quantizer], ids=["converter", "ai-edge-quantizer"])
def test_a_layer_normalization_becomes_integers(engine, normed, photos):
    pictures = photos[0][:, ::2, ::2]
    file = engine.int8(normed, pictures)  # which refuses an op in float
    expected = normed.predict(pictures.astype("float32"), verbose=0)
    assert np.ptp(expected, axis=0).max() > 0.05
    np.testing.assert_allclose(LiteModel(file).predict(pictures), expected, atol=0.03)


def _enlarging(shape=(6, 5, 4), **kwargs):
    """A map enlarged twice by one layer."""
    image = keras.Input(shape)
    enlarge = layers.UpSampling2D((2, 3), name="up", **kwargs)
    return keras.Model(image, enlarge(layers.Conv2D(4, 3, padding="same")(enlarge(image))))


def test_an_enlargement_is_one_op_of_every_file():
    model, maps = _enlarging(), np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype("float32")
    file = convert.float32(model, batch_size=2, input_type="float32")
    assert [op.name for op in flatbuffer.read(file).ops] == ["RESIZE_NEAREST_NEIGHBOR", "CONV_2D"] + [
        "RESIZE_NEAREST_NEIGHBOR"
    ]
    np.testing.assert_allclose(LiteModel(file).predict(maps), model.predict(maps, verbose=0), atol=1e-5)


@pytest.mark.parametrize("kwargs", [{"interpolation": "bilinear"}, {"data_format": "channels_first"}])
def test_other_enlargements_stay(kwargs):
    model = _enlarging(**kwargs)
    assert rewriting.for_files(model) is model


def test_an_enlargement_of_an_open_size_stays_as_keras_has_it():
    model = _enlarging((None, None, 4))
    maps = np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype("float32")
    np.testing.assert_allclose(rewriting.for_files(model)(maps), model(maps), atol=1e-6)
