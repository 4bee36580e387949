import keras
import numpy as np
import pytest
from keras import layers

from tfmap.compress import bridge
from tfmap.compress.finetune import FineTuning
from tfmap.compress.low_rank import low_rank, plan, split
from tfmap.errors import InputError

HOW = FineTuning(epochs=1, learning_rate=0.001, verbose=False)


@pytest.fixture(scope="module")
def wide():
    """Layers of little rank, and of full rank, one of them in a nested model."""
    keras.utils.set_random_seed(0)
    image = keras.Input((48, 48, 3), name="image")
    x = layers.Conv2D(32, 3, strides=4, padding="same", name="stem")(layers.Rescaling(1 / 255)(image))
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="thin")(x)
    inner = keras.Input((12, 12, 32))
    nested = keras.Model(inner, layers.Conv2D(48, 1, name="point")(inner), name="nested")
    x = layers.GlobalAveragePooling2D()(nested(x))
    x = layers.Dense(40, activation="relu", name="full")(x)
    model = keras.Model(image, layers.Dense(6, activation="softmax", name="top")(x))
    rng = np.random.default_rng(0)
    thin = rng.normal(size=(32, 3)) @ rng.normal(size=(3, 9 * 4)).reshape(3, 36)
    thin = np.einsum("irs,so->rio", thin.reshape(32, 9, 4), rng.normal(size=(4, 32))).reshape(3, 3, 32, 32)
    model.get_layer("thin").kernel.assign(thin / np.abs(thin).max())
    nested.get_layer("point").kernel.assign((rng.normal(size=(32, 5)) @ rng.normal(size=(5, 48)))[None, None] / 10)
    return model


def test_it_is_split_where_it_pays(wide):
    assert plan(wide, energy=0.9999) == {"thin": (3, 4), "point": (5,)}
    smaller = split(wide, plan(wide, energy=0.9999))
    names = [layer.name for layer in smaller._flatten_layers() if not isinstance(layer, keras.Model)]
    assert {"thin_in", "thin_core", "thin", "point_in", "point"} < set(names)
    assert smaller.count_params() < 0.5 * wide.count_params()
    pictures = np.random.default_rng(0).uniform(0, 255, (4, 48, 48, 3)).astype("float32")
    np.testing.assert_allclose(smaller(pictures), wide(pictures), atol=1e-5)


def test_a_size(wide):
    for size in (0.4, 0.25):
        smaller = split(wide, plan(wide, size=size))
        assert size / 2 < smaller.count_params() / wide.count_params() <= size
    with pytest.raises(InputError, match=r"low_rank\(size=0.01\) cannot be reached: .* leaves 0\.\d+ of the weights"):
        plan(wide, size=0.01)


def test_a_sequential_model():
    model = keras.Sequential([keras.Input((20,)), layers.Dense(30, name="a"), layers.Dense(2, name="b")])
    model.get_layer("a").kernel.assign(np.ones((20, 30)))
    smaller = split(model, plan(model))
    assert [layer.name for layer in smaller.layers[1:]] == ["a_in", "a", "b"]
    np.testing.assert_allclose(smaller(np.ones((1, 20))), model(np.ones((1, 20))), rtol=1e-4)


def test_a_layer_used_twice_and_in_two_models():
    """Its factors are used twice too; what another model does with the layer does not matter."""
    keras.utils.set_random_seed(0)
    shared = layers.Dense(24, name="shared")
    image = keras.Input((24,))
    model = keras.Model(image, layers.Dense(2, name="top")(shared(layers.ReLU()(shared(image)))))
    shared.kernel.assign(np.ones((24, 24)) / 24)
    keras.Model(image, shared(image) + 1)
    smaller = split(model, plan(model))
    assert [layer.name for layer in smaller.layers].count("shared_in") == 1
    rows = np.random.default_rng(0).normal(size=(5, 24))
    np.testing.assert_allclose(smaller(rows), model(rows), atol=1e-6)
    np.testing.assert_allclose(bridge.to_tf_keras(smaller)(rows), model(rows), atol=1e-6)


def of_rank(rank, inputs, outputs, seed=0):
    """A kernel (inputs, outputs), float64."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(inputs, rank)) @ rng.normal(size=(rank, outputs)) / inputs


def answers_alike(one, other, *, values=2.0):
    rows = np.random.default_rng(0).uniform(0, values, (3, *one.input_shape[1:])).astype("float32")
    expected = np.asarray(one(rows))
    assert np.std(expected) > 0
    np.testing.assert_allclose(other(rows), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_sequential_head_of_a_functional_model():
    keras.utils.set_random_seed(0)
    head = keras.Sequential([keras.Input((24,)), layers.Dense(32, name="wide"), layers.Dense(2, name="top")])
    head.get_layer("wide").set_weights([of_rank(3, 24, 32), np.arange(32.0)])
    image = keras.Input((20,))
    model = keras.Model(image, head(layers.Dense(24, activation="relu", name="body")(image)))
    ranks = plan(model, energy=0.999999)
    assert ranks == {"wide": (3,)}
    answers_alike(model, split(model, ranks))


def test_two_nested_layers_of_one_name():
    """Each has a rank of its own: 2 and 5."""
    image = x = keras.Input((12, 12, 32))
    for number, rank in enumerate((2, 5)):
        inner = keras.Input((12, 12, 32))
        nested = keras.Model(inner, layers.Conv2D(32, 1, name="conv")(inner), name=f"stage{number}")
        nested.get_layer("conv").kernel.assign(of_rank(rank, 32, 32, seed=number)[None, None])
        x = nested(x)
    model = keras.Model(image, x)
    ranks = plan(model, energy=0.999999)
    assert ranks == {"conv": (2,), "conv__2": (5,)}
    answers_alike(model, split(model, ranks))


def test_operators_in_the_graph():
    keras.utils.set_random_seed(0)
    image = keras.Input((24,))
    x = layers.Dense(24, name="wide")(image) + 3.0
    x = keras.ops.relu(x) * layers.Dense(24, name="gate")(1.0 - image)
    model = keras.Model(image, layers.Dense(2, name="top")(keras.ops.reshape(x, (-1, 24))))
    model.get_layer("wide").kernel.assign(of_rank(2, 24, 24))
    assert plan(model, energy=0.999999) == {"wide": (2,)}
    answers_alike(model, split(model, {"wide": (2,)}))


def test_an_adapted_normalisation_stays_adapted(photos):
    images = photos[0].astype("float32")
    norm = layers.Normalization()
    norm.adapt(images)
    image = keras.Input((48, 48, 3))
    x = layers.Conv2D(32, 1, name="wide")(layers.Conv2D(32, 3, strides=4, name="first")(norm(image)))
    model = keras.Model(image, layers.GlobalAveragePooling2D()(x))
    model.get_layer("wide").kernel.assign(of_rank(4, 32, 32)[None, None])
    answers_alike(model, split(model, {"wide": (4,)}), values=255.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_kernel_that_is_no_number_names_its_layer(value):
    image = keras.Input((24,))
    model = keras.Model(image, layers.Dense(24, name="broken")(image))
    model.get_layer("broken").kernel.assign(np.full((24, 24), value))
    text = "low_rank reads the kernel of layer 'broken', which holds NaN or inf. Expected finite weights. Train the"
    with pytest.raises(InputError, match=text):
        plan(model)
    with pytest.raises(InputError, match=text):
        split(model, {"broken": (3,)})


def test_nothing_that_is_worth_splitting(feed):
    image = keras.Input((48, 48, 3))
    x = layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, layers.Dense(6, activation="softmax")(x), name="slim")
    model.layers[-1].kernel.assign(np.eye(3, 6))
    text = "low_rank finds no layer in 'slim' that has fewer multiply-adds once it is split. Ask for less than energy="
    with pytest.raises(InputError, match=text + "0.9, or leave low_rank out"):
        low_rank(model, feed, how=HOW)
    with pytest.raises(InputError, match=text + "0.99, or leave low_rank out"):
        low_rank(model, feed, energy=0.99, how=HOW)


WRONG = {
    "energy": ({"energy": 1.2}, r"low_rank takes energy in \(0, 1\), received 1.2"),
    "size": ({"size": 0}, r"low_rank takes size in \(0, 1\), received 0"),
    "both": ({"energy": 0.9, "size": 0.5}, r"low_rank takes energy or size, received both \(0.9, 0.5\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong(wide, name):
    arguments, text = WRONG[name]
    with pytest.raises(InputError, match=text):
        plan(wide, **arguments)


def test_it_is_fine_tuned(classifier, feed, photos, accuracy):
    before = classifier.get_weights()
    smaller = low_rank(classifier, feed, energy=0.5, how=HOW)
    assert smaller.count_params() < classifier.count_params()
    assert smaller.predict(photos[0].astype("float32"), verbose=0).shape == (48, 6)
    assert all(map(np.array_equal, before, classifier.get_weights()))
