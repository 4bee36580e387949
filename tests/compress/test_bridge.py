import keras
import numpy as np
import pytest
import tf_keras
from keras import layers, ops

from tfmap.compress import bridge
from tfmap.errors import InputError


def shake(model, seed=0):
    """Weights as a training leaves them: norms with means and variances that differ from 0 and 1."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith(("beta", "moving_mean", "bias")):
            weight.assign(rng.uniform(-0.3, 0.3, weight.shape))
    return model


def parity(model, tolerance=1e-5):
    """The twin answers alike, relative to the largest output, and its weights find their way home."""
    shake(model)
    twin = bridge.to_tf_keras(model)
    picture = np.random.default_rng(1).uniform(0, 255, (2, *model.input_shape[1:])).astype("float32")
    expected = np.asarray(model(picture, training=False), "float32")
    received = twin(picture, training=False).numpy()
    assert np.abs(received - expected).max() <= tolerance * np.abs(expected).max()
    assert np.abs(expected).max() > 0
    assert np.std(expected) > 0
    comes_home(model, twin)
    return twin


def comes_home(model, twin):
    home = bridge.brought_home(twin, model)
    before = [np.copy(np.asarray(weight)) for weight in model.weights]
    for weight, value in zip(home.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), value, err_msg=weight.path)
    crossed = [weight for weight in home.trainable_weights if np.any(np.asarray(weight))]
    for weight in crossed:
        weight.assign(np.zeros(weight.shape))
    bridge.copy_back(twin, home)
    assert all(np.any(np.asarray(weight)) for weight in crossed)


def on(body, shape=(16, 16, 3), **options):
    image = keras.Input(shape, name="image")
    return keras.Model(image, body(image), **options)


def test_what_phones_are_made_of(residual):
    twin = parity(keras.models.clone_model(residual))
    assert isinstance(twin, tf_keras.Model)
    assert twin.input_names == ["image"]
    assert {"stem", "depthwise", "logits"} <= {layer.name for layer in twin.layers}


BODIES = {
    "separable": lambda x: layers.SeparableConv2D(4, 3, depth_multiplier=2, activation="relu")(x),
    "separable with an activation behind": lambda x: layers.SeparableConv2D(4, 3, activation="hard_swish")(x),
    "transposed": lambda x: layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x),
    "dilated": lambda x: layers.Conv2D(4, 3, dilation_rate=2)(x),
    "relu6 inside": lambda x: layers.Conv2D(4, 3, activation="relu6")(x),
    "leaky relu inside": lambda x: layers.Conv2D(4, 3, activation="leaky_relu")(x),
    "mish inside": lambda x: layers.Conv2D(4, 3, activation="mish")(x),
    "hard sigmoid": lambda x: layers.Activation("hard_sigmoid")(x / 50 - 3),
    "hard swish": lambda x: layers.Activation("hard_swish")(x / 50 - 3),
    "gelu": lambda x: layers.Activation("gelu")(x / 50 - 3),
    "a rare activation": lambda x: layers.Activation("celu")(x / 50 - 3),
    "a leaky relu layer": lambda x: layers.LeakyReLU(0.3)(x - 100),
    "prelu": lambda x: layers.PReLU(shared_axes=(1, 2))(x - 100),
    "a relu with a slope": lambda x: layers.ReLU(max_value=90, negative_slope=0.1, threshold=3)(x - 100),
    "group norm": lambda x: layers.GroupNormalization(3)(x),
    "layer norm": lambda x: layers.LayerNormalization()(x),
    "normalization": lambda x: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0])(x),
    "inverted": lambda x: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0], invert=True)(x),
    "rescaling by channel": lambda x: layers.Rescaling([0.1, 0.2, 0.3], offset=[1.0, 2.0, 3.0])(x),
    "padding and cropping": lambda x: layers.Cropping2D(2)(layers.ZeroPadding2D(((0, 1), (2, 0)))(x)),
    "upsampling": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(x),
    "resizing": lambda x: layers.Resizing(8, 8)(x),
    "pooling": lambda x: layers.MaxPooling2D(3, strides=2, padding="same")(layers.AveragePooling2D(2)(x)),
    "flattened": lambda x: layers.Dense(3, use_bias=False)(layers.Flatten()(x)),
    "augmented": lambda x: layers.Conv2D(2, 3)(layers.RandomRotation(0.2)(layers.RandomFlip()(x))),
    "dropped": lambda x: layers.SpatialDropout2D(0.5)(layers.GaussianNoise(0.5)(layers.Dropout(0.5)(x))),
    "attention": lambda x: layers.MultiHeadAttention(2, 4)(*[layers.Reshape((256, 3))(x / 255)] * 2),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_layers(name):
    keras.utils.set_random_seed(5)
    parity(on(BODIES[name]))


OPERATIONS = {
    "arithmetic": lambda x: (x / 127.5 - 1.0) * 2 + 0.5,
    "a constant first": lambda x: 255.0 - x,
    "one over": lambda x: 1.0 / (x + 1.0),
    "a constant vector": lambda x: x * np.array([0.1, 0.2, 0.3], "float32"),
    "a constant picture": lambda x: x + np.ones((16, 16, 3), "float32"),
    "tensors": lambda x: ops.maximum(x + ops.flip(x, 1), x * x) - ops.minimum(x, x * 0.5),
    "a quotient of tensors": lambda x: x / (ops.abs(x) + 1.0),
    "concatenation": lambda x: ops.concatenate([x, x * 2], axis=-1),
    "activations": lambda x: ops.relu6(x) + ops.silu(x) + ops.hard_sigmoid(x - 100) + ops.sigmoid(x - 100),
    "a mean over the picture": lambda x: ops.mean(x, axis=(1, 2)),
    "a mean over channels": lambda x: ops.mean(x, axis=-1, keepdims=True),
    "a slice": lambda x: x[:, 2:9, ..., ::2],
    "a reshape": lambda x: ops.reshape(x, (-1, 8, 96)),
    "a product of matrices": lambda x: ops.einsum("bhwc,bhwd->bcd", x / 255, x / 255),
    "a stack": lambda x: ops.stack([x, x * 3], axis=1),
    "a softmax": lambda x: ops.softmax(x / 255, axis=-1),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_on_tensors(name):
    parity(on(OPERATIONS[name]))


def test_a_sequential_model():
    parity(keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()]))


def test_a_nested_model_is_flattened_and_stays_in_inference_where_it_was_called_so():
    inner = on(lambda x: layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="conv")(x)), name="backbone")
    model = on(lambda x: layers.Conv2D(2, 1, name="conv")(inner(x, training=False)))
    twin = parity(model)
    assert [layer.name for layer in twin.layers] == ["image", "conv", "norm", "conv__2"]
    picture = np.ones((2, 16, 16, 3), "float32")
    np.testing.assert_allclose(twin(picture, training=True), twin(picture, training=False))


def test_a_shared_layer_stays_shared():
    head, act = layers.Conv2D(4, 3, activation="hard_swish", name="head"), layers.Activation("relu", name="act")
    twin = parity(on(lambda x: layers.Add()([act(head(x)), act(head(x * 2 - 1))])))
    assert len(twin.get_layer("head").inbound_nodes) == 2


def test_several_inputs_and_outputs():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model({"a": a, "b": b}, [layers.Dense(3)(a), layers.Dense(2)(b)])
    values = {"a": np.ones((1, 4), "float32"), "b": np.full((1, 4), 2, "float32")}
    for expected, received in zip(model(values), bridge.to_tf_keras(model)(values), strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-6)


def test_mixed_precision_comes_out_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = on(lambda x: layers.Dense(3, dtype="float32")(layers.Flatten()(layers.Conv2D(4, 3)(x / 255))))
    finally:
        keras.config.set_dtype_policy("float32")
    twin = parity(model, tolerance=5e-3)
    assert {layer.compute_dtype for layer in twin.layers} == {"float32"}


def test_frozen_layers_come_out_trainable(residual):
    frozen = keras.models.clone_model(residual)
    frozen.trainable = False
    assert len(bridge.to_tf_keras(frozen).trainable_weights) == len(residual.trainable_weights)


class Swap(layers.Layer):
    """A custom layer."""

    def call(self, x):
        return x[..., ::-1]


class Shift(layers.Layer):
    """A custom layer with a weight."""

    def build(self, shape):
        self.by = self.add_weight(name="by", shape=(3,), initializer="ones")

    def call(self, x):
        return x + self.by


class LegacyShift(tf_keras.layers.Layer):
    """Its twin."""

    def build(self, shape):
        self.by = self.add_weight(name="by", shape=(3,))

    def call(self, x):
        return x + self.by


def test_a_registered_layer_crosses():
    bridge.register(Shift, lambda layer: LegacyShift())
    parity(on(lambda x: Shift(name="shift")(x)))


class Subclassed(keras.Model):
    """Its graph is Python code."""

    def call(self, x):
        return x


def mine(x):
    """An activation of the user's own."""
    return x * 2


ROW = np.ones(16)
CANNOT = {
    "a layer of your own": (lambda: on(lambda x: Swap(name="swap")(x)), "'swap' (Swap)"),
    "a Lambda": (lambda: on(lambda x: layers.Lambda(lambda t: t * 2, name="twice")(x)), "'twice' (Lambda)"),
    "a function of your own": (lambda: on(lambda x: layers.Activation(mine, name="odd")(x)), "'odd' (Activation)"),
    "its activation 'mine' is": (lambda: on(lambda x: layers.Conv2D(2, 3, activation=mine, name="c")(x)), "'c'"),
    "Keras 2 has no such layer": (lambda: on(lambda x: layers.RMSNormalization(name="rms")(x)), "'rms' (RMSNorm"),
    "is a subclassed model": (lambda: Subclassed(name="net"), "'net' (Subclassed)"),
    "only a Normalization over the last axis": (lambda: on(layers.Normalization(1, ROW, ROW, name="n")), "'n' (Normal"),
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


def test_weights_of_another_model_do_not_fit(residual):
    other = bridge.to_tf_keras(on(lambda x: layers.Conv2D(2, 3, name="other")(x)))
    with pytest.raises(InputError, match="has no layer 'stem'; was it bridged from this model"):
        bridge.copy_back(other, residual)


APPLICATIONS = {
    "MobileNet": 32, "MobileNetV2": 32, "MobileNetV3Small": 32, "EfficientNetB0": 32, "EfficientNetV2B0": 32,
    "ResNet50V2": 32, "DenseNet121": 32, "Xception": 71,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_networks_of_keras_applications(name):
    keras.utils.set_random_seed(2)
    size = APPLICATIONS[name]
    build = getattr(keras.applications, name)
    parity(build(weights=None, input_shape=(size, size, 3), classes=5, classifier_activation=None))
