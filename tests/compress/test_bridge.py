import functools
import inspect
import re

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers, ops

import tfmap
from tests.compress.parity import agree, answers, on, parity, probe, shake
from tfmap.compress import bridge
from tfmap.errors import InputError
from tfmap.models import catalogue


def test_what_phones_are_made_of(residual):
    twin = parity(keras.models.clone_model(residual))
    assert isinstance(twin, tf_keras.Model)
    assert twin.input_names == ["image"]
    assert {"stem", "depthwise", "logits"} <= {layer.name for layer in twin.layers}


def test_a_sequential_model():
    parity(keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()]))


def test_sequential_models_inside():
    inner = keras.Sequential([layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization()], name="block")
    parity(keras.Sequential([keras.Input((16, 16, 3)), inner, layers.Conv2D(2, 3, name="conv"), layers.Flatten()]))


def test_a_nested_model_is_flattened_and_stays_in_inference_where_it_was_called_so():
    inner = on(lambda x: layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="conv")(x)), name="backbone")
    model = on(lambda x: layers.Conv2D(2, 1, name="conv")(inner(x, training=False)))
    twin = parity(model)
    assert [layer.name for layer in twin.layers] == ["image", "conv", "norm", "conv__2"]
    picture = np.ones((2, 16, 16, 3), "float32")
    np.testing.assert_allclose(twin(picture, training=True), twin(picture, training=False))


def test_a_layer_called_in_training_follows_the_model_as_in_predict():
    model = on(lambda x: layers.Dropout(0.5)(layers.BatchNormalization()(x, training=True), training=True))
    twin, pictures = parity(model), probe(model)
    np.testing.assert_allclose(twin.predict(pictures, verbose=0), model.predict(pictures, verbose=0), rtol=1e-5)
    assert np.abs(twin(pictures, training=True) - twin(pictures)).max() > 1


def test_dropout_drops_in_training():
    twin = parity(on(lambda x: layers.SpatialDropout2D(0.5)(layers.Dropout(0.5)(x))))
    assert np.mean(twin(np.ones((2, 16, 16, 3), "float32"), training=True) == 0) > 0.3


def test_a_nested_model_called_in_training_follows_the_model_as_in_predict():
    inner = on(lambda x: layers.Dropout(0.5)(layers.BatchNormalization()(x)))
    parity(on(lambda x: inner(x, training=True)))


def test_names_that_meet_in_the_flattened_model():
    inner = on(lambda x: layers.Conv2D(4, 3, name="conv")(x))
    twin = parity(on(lambda x: layers.Conv2D(3, 1, name="conv")(layers.Conv2D(4, 3, name="conv__2")(inner(x)))))
    assert [layer.name for layer in twin.layers] == ["image", "conv", "conv__2", "conv__2__2"]


def test_names_that_tf_keras_does_not_take():
    def body(x):
        x = layers.Conv2D(4, 3, name="größe eins")(x)
        return layers.BatchNormalization(name="a.b-c")(layers.Dense(3, name="_private")(x))

    twin = parity(on(body))
    assert [layer.name for layer in twin.layers] == ["image", "gr__e_eins", "layer_private", "a.b-c"]


def test_a_shared_layer_stays_shared():
    head, act = layers.Conv2D(4, 3, activation="hard_swish", name="head"), layers.Activation("relu", name="act")
    twin = parity(on(lambda x: layers.Add()([act(head(x)), act(head(x * 2 - 1))])))
    assert len(twin.get_layer("head").inbound_nodes) == 2


def test_a_shared_guest_stays_shared():
    attention = layers.MultiHeadAttention(2, 3, name="attention")
    twin = parity(on(lambda x: attention(x, x) + attention(x * 2, x * 2), (5, 4)))
    assert len(twin.get_layer("attention").inbound_nodes) == 2


def test_a_shared_model_stays_shared():
    inner = on(lambda x: layers.BatchNormalization()(layers.Dense(3, "relu", name="dense")(x)), (4,), name="tower")
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    twin = parity(keras.Model([a, b], layers.Dot(1)([inner(a), inner(b)]) + inner(a * b)))
    assert len(twin.get_layer("dense").inbound_nodes) == 3


def test_a_nested_model_takes_a_dict_by_name():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    inner = keras.Model([b, a], layers.Dense(3)(b) - layers.Dense(3)(a))
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    parity(keras.Model([x, y], inner({"a": x, "b": y})))


def test_a_nested_model_with_named_inputs_and_outputs():
    b, a = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    inner = keras.Model({"b": b, "a": a}, {"sum": layers.Add()([a, b]), "apart": [layers.Dense(2)(a), b * 2]})
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    made = inner({"b": x, "a": y})
    parity(keras.Model({"x": x, "y": y}, {"z": made["sum"], "w": made["apart"]}))


def test_a_nested_model_casts_and_fits_its_inputs():
    inner = on(lambda x: layers.Dense(3)(layers.Rescaling(0.1)(x)), (1,), "int32")
    parity(on(lambda x: inner(x[:, 0] * 9), (4,)))
    flat = on(lambda x: layers.Embedding(9, 2)(x), (), "int32")
    parity(on(lambda x: flat(ops.cast(ops.abs(x[:, :1]) * 4, "int32")), (4,)))


STRUCTURES = {
    "a list": (lambda a, b: [a, b], lambda x, y: [x, y]),
    "a dict": (lambda a, b: {"b": a, "a": b}, lambda x, y: {"z": x, "a": y}),
    "one output twice": (lambda a, b: [a, b], lambda x, y: [x, y, x]),
    "a tree": (lambda a, b: {"k": [a, b]}, lambda x, y: {"k": (x, {"l": y})}),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_several_inputs_and_outputs(name):
    ins, outs = STRUCTURES[name]
    a, b = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    model = keras.Model(ins(a, b), outs(layers.Dense(3)(a), layers.Dense(2)(b) * 2))
    twin = parity(model)
    received, expected = twin(probe(model)), model(probe(model))
    assert keras.tree.map_structure(lambda x: tuple(x.shape), received) == keras.tree.map_structure(
        lambda x: tuple(x.shape), expected
    )


def test_an_input_that_is_an_output():
    parity(on(lambda x: [x, layers.Dense(3)(x)], (4,)))


def test_pictures_of_any_size_and_a_fixed_batch():
    parity(on(lambda x: layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x)), (None, None, 3)))
    given = keras.Input(batch_shape=(2, 8, 8, 3))
    assert parity(keras.Model(given, layers.Conv2D(4, 3)(given))).input_shape == (2, 8, 8, 3)


POLICIES = ["mixed_float16", "mixed_bfloat16", "bfloat16", "float64"]
LSTM = functools.partial(layers.LSTM, recurrent_initializer="he_normal")  # the default one needs float32
PRECISE = {
    "a picture": lambda x: layers.Dense(3)(layers.Flatten()(layers.BatchNormalization()(layers.Conv2D(4, 3)(x / 255)))),
    "guests": lambda x: layers.LayerNormalization()(layers.Bidirectional(LSTM(3))((x / 255)[:, 0])),
    "casts": lambda x: layers.Dense(3)(ops.cast(ops.mean(ops.cast(x, "float16"), axis=(1, 2)), "float32")),
    "softmax": lambda x: layers.Softmax(axis=[1, 2])(layers.Activation("celu")(x / 255)),
}  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", PRECISE)
def test_every_precision_comes_out_in_float32(name, policy):
    """Against the very model in float32, which is what it comes out as."""
    wanted = shake(on(PRECISE[name]))
    keras.config.set_dtype_policy(policy)
    try:
        model = on(PRECISE[name])
    finally:
        keras.config.set_dtype_policy("float32")
    model.set_weights(wanted.get_weights())
    wanted.set_weights([np.asarray(weight, "float32") for weight in model.get_weights()])  # bfloat16 ones are rounded
    twin = bridge.to_tf_keras(model)
    assert {layer.compute_dtype for layer in twin.layers} == {"float32"}
    assert twin.output.dtype.name == "float32"
    pictures = probe(model)
    if name != "casts":
        agree(answers(twin, pictures), answers(wanted, pictures))
    agree(answers(twin, pictures), answers(model, pictures), tolerance=0.05)
    home = bridge.brought_home(twin, model)
    assert {layer.compute_dtype for layer in home.layers[1:]} == {layer.compute_dtype for layer in model.layers[1:]}
    agree(answers(home, pictures), answers(model, pictures), tolerance=1e-6)


def test_frozen_layers_come_out_trainable(residual):
    frozen = keras.models.clone_model(residual)
    frozen.trainable = False
    assert len(bridge.to_tf_keras(frozen).trainable_weights) == len(residual.trainable_weights)
    guest = on(layers.Bidirectional(layers.LSTM(3), trainable=False), (5, 4))
    assert len(bridge.to_tf_keras(guest).trainable_weights) == 6


def test_a_transformer():
    def body(x):
        x = layers.Reshape((16, 24))(layers.Conv2D(24, 4, strides=4)(layers.Rescaling(1 / 127.5, offset=-1)(x)))
        x = x + layers.Embedding(16, 24)(ops.arange(16))
        for _ in range(2):
            y = layers.LayerNormalization(epsilon=1e-6)(x)
            x = x + layers.Dropout(0.1)(layers.MultiHeadAttention(3, 8, dropout=0.1)(y, y))
            y = layers.Dense(24)(layers.Dense(48, activation="gelu")(layers.LayerNormalization(epsilon=1e-6)(x)))
            x = layers.Add()([x, y])
        return layers.Dense(5, activation="softmax")(layers.LayerNormalization(epsilon=1e-6)(x)[:, 0])

    parity(on(body))


class Swap(layers.Layer):
    """A custom layer."""

    def compute_output_shape(self, shape):
        return shape

    def call(self, x):
        return x[..., ::-1]


class Subclassed(keras.Model):
    """Its graph is Python code."""

    def __init__(self, **options):
        super().__init__(**options)
        self.conv = layers.Conv2D(4, 3)

    def call(self, x):
        return self.conv(x)


class Doubled(keras.Model):
    """It has a graph, and does more."""

    def call(self, x):
        return super().call(x) * 2


def doubled():
    image = keras.Input((16, 16, 3))
    return Doubled(image, layers.Conv2D(4, 3)(image), name="more")


def mine(x):
    """An activation of the user's own."""
    return x * 2


CANNOT = {
    "a layer of your own": (lambda: on(lambda x: Swap(name="swap")(x)), "'swap' (Swap)"),
    "a Lambda": (lambda: on(lambda x: layers.Lambda(lambda t: t * 2, name="twice")(x)), "'twice' (Lambda)"),
    "a function of your own": (lambda: on(lambda x: layers.Activation(mine, name="odd")(x)), "'odd' (Activation)"),
    "its activation 'mine' is": (lambda: on(lambda x: layers.Conv2D(2, 3, activation=mine, name="c")(x)), "'c'"),
    "is a subclassed model": (lambda: Subclassed(name="net"), "'net' (Subclassed)"),
    "(Subclassed) is a subclassed model": (lambda: on(lambda x: Subclassed(name="net")(x)), "'net'"),
    "(Doubled) is a subclassed model": (doubled, "'more'"),
    "it is a layer of your own": (lambda: on(lambda x: layers.TimeDistributed(Swap(name="in"))(x)), "'in' (Swap)"),
}  # fmt: skip


@pytest.mark.parametrize("why", CANNOT)
def test_what_cannot_cross_is_named_with_the_two_ways_out(why):
    build, where = CANNOT[why]
    with pytest.raises(InputError) as caught:
        bridge.to_tf_keras(build())
    text = str(caught.value)
    assert why in text
    assert where in text
    assert "bridge.register(" in text
    assert "export.quantize" not in text
    assert "export.format=int8" in text


def test_a_sequential_model_without_input():
    with pytest.raises(InputError, match=r"not built. Start it with keras.Input\(shape\)"):
        bridge.to_tf_keras(keras.Sequential([layers.Dense(2)]))


def test_sparse_inputs():
    given = keras.Input((4,), sparse=True, name="few")
    with pytest.raises(InputError, match="input 'few' is sparse or ragged"):
        bridge.to_tf_keras(keras.Model(given, layers.Dense(2)(given)))


def test_weights_of_another_model_do_not_fit(residual):
    other = bridge.to_tf_keras(on(lambda x: layers.Conv2D(2, 3, name="other")(x)))
    with pytest.raises(InputError, match="has no layer 'stem'; was it bridged from this model"):
        bridge.copy_back(other, residual)
    small, large = (on(layers.Dense(width, name="dense"), (4,)) for width in (2, 3))
    with pytest.raises(
        InputError, match=r"layer 'dense' has weights of the shapes \[\(4, 3\), \(3,\)\] in Keras 3 and"
    ):
        bridge.copy_back(bridge.to_tf_keras(small), large)


# Family of keras.applications -> the member that stands for it, its arguments and the size of its pictures.
FAMILIES = {
    r"MobileNet": ("MobileNet", {"alpha": 0.25}, 32),
    r"MobileNetV2": ("MobileNetV2", {"alpha": 0.35}, 32),
    r"MobileNetV3(Small|Large)": ("MobileNetV3Small", {}, 32),
    r"EfficientNetB\d": ("EfficientNetB0", {}, 32),
    r"EfficientNetV2(B\d|S|M|L)": ("EfficientNetV2B0", {}, 32),
    r"ResNet\d+": ("ResNet50", {}, 32),
    r"ResNet\d+V2": ("ResNet50V2", {}, 32),
    r"DenseNet\d+": ("DenseNet121", {}, 32),
    r"VGG\d+": ("VGG16", {}, 32),
    r"NASNet(Mobile|Large)": ("NASNetMobile", {}, 32),
    r"ConvNeXt\w+": ("ConvNeXtTiny", {}, 32),
    r"Xception": ("Xception", {}, 71),
    r"InceptionV3": ("InceptionV3", {}, 75),
    r"InceptionResNetV2": ("InceptionResNetV2", {}, 75),
}


def test_no_family_of_keras_applications_is_forgotten():
    builders = [name for name, made in vars(keras.applications).items() if inspect.isfunction(made)]
    assert len(builders) >= 38
    assert [name for name in builders if not any(re.fullmatch(family, name) for family in FAMILIES)] == []


SLOW = [pytest.param(family, marks=pytest.mark.slow) for family in FAMILIES if family != "MobileNet"]


@pytest.mark.parametrize("family", ["MobileNet", *SLOW])
def test_networks_of_keras_applications(family):
    keras.utils.set_random_seed(2)
    name, options, size = FAMILIES[family]
    build = getattr(keras.applications, name)
    parity(build(weights=None, input_shape=(size, size, 3), classes=5, classifier_activation=None, **options))


QUICK = ("lenet", "resnet8")


@pytest.mark.parametrize("name", QUICK)
def test_a_classifier_of_ours(name):
    keras.utils.set_random_seed(2)
    parity(tfmap.build_classifier(name, classes=4, input_shape=(32, 32, 3), weights=None))


def one_of_each_kind():
    """Backbones that differ by more than width and depth; the first of a kind is the smallest."""
    kinds = {}
    for row in catalogue.BACKBONES.values():
        builder = re.sub(r"\d+|(?<=ConvNeXt)\w+|(?<=NASNet)\w+|(?<=V2)[SML]$", "", row.builder)
        kinds.setdefault((row.family, builder), row.name)
    return list(kinds.values())


# With random weights the last digit of its input moves its answers by 2e-5 (measured).
UNSTEADY = ("efficientnet_v2_s",)


@pytest.mark.slow
@pytest.mark.parametrize("name", one_of_each_kind())
def test_our_backbones(name):
    keras.utils.set_random_seed(2)
    size = catalogue.find(name).smallest
    parity(tfmap.models.build(name, input_shape=(size, size, 3), weights=None), ulps=4 if name in UNSTEADY else 0)


def tied():
    dense = layers.Dense(3, name="inner")
    return on(lambda x: layers.TimeDistributed(dense, name="outer")(dense(x)), (4, 3))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_weights_in_two_places_are_refused(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = tied()
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(InputError, match="share (the|a) weight"):
        bridge.to_tf_keras(model)


def test_a_weight_in_an_operation_is_refused():
    scale = layers.Dense(4, name="scale")
    scale.build((None, 4))
    model = on(lambda x: scale(x) * scale.bias, (4,))
    with pytest.raises(InputError, match="computes with a weight directly"):
        bridge.to_tf_keras(model)
