import gzip

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tests.conftest import by_heart
from tfmap.compress import bridge, flow, recipe
from tfmap.compress import cluster as module
from tfmap.compress.cluster import cluster, kmeans, magnitudes, shared
from tfmap.compress.finetune import FineTuning
from tfmap.compress.prune import sparsities
from tfmap.compress.ties import scale_axes
from tfmap.errors import InputError
from tfmap.export import convert
from tfmap.litert import LiteModel

pytestmark = pytest.mark.slow  # minutes of conversion and training on two cores

HOW = FineTuning(epochs=2, learning_rate=0.003, verbose=False)


@pytest.fixture(scope="module")
def wide(photos):
    """A classifier with convolutions wide enough to share weights; it has learned the photographs by heart."""
    keras.utils.set_random_seed(1)
    image = keras.Input((48, 48, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    for number, width in enumerate((16, 48, 64)):
        x = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.Dense(32, activation="relu", name="hidden")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Dense(6, activation="softmax", name="top")(x), name="wide")
    return by_heart(model, photos, 0.005)


@pytest.fixture(scope="module")
def clustered(wide, feed):
    return cluster(wide, feed, clusters=16, how=HOW)


def integers(data):
    """Name of a large kernel -> its different integers in an int8 file; pictures and features have a batch of one."""
    interpreter = LiteModel(data)._interpreter
    found = {}
    for tensor in interpreter.get_tensor_details():
        if (
            tensor["dtype"] == np.int8
            and len(tensor["shape"]) > 1
            and tensor["shape"][0] > 1
            and tensor["shape"].prod() > 1000
        ):
            found[tensor["name"]] = np.unique(interpreter.get_tensor(tensor["index"]))
    return found


def values(model, name):
    """Different magnitudes in a kernel, as int8 will see them."""
    weights = np.asarray(model.get_layer(name).kernel)
    largest = np.abs(weights).max(axis=scale_axes(weights.ndim))
    return np.unique(np.round(127 * np.abs(weights) / largest))


def test_kernels_share_their_weights_and_the_ends_are_kept(clustered, wide, photos, accuracy):
    assert [len(values(clustered, name)) for name in ("conv1", "conv2", "hidden")] == [8, 8, 8]
    assert min(len(values(clustered, name)) for name in ("conv0", "top")) > 60
    assert accuracy(clustered.predict(photos[0].astype("float32"), verbose=0)) >= 0.95
    assert len(values(wide, "conv1")) > 100  # left as it was


def test_an_int8_file_has_so_few_integers_and_packs(clustered, wide, photos):
    file, plain = (convert.int8(model, photos[0]) for model in (clustered, wide))
    assert max(map(len, integers(plain).values())) > 200
    # The dense kernel gets a scale per channel here; in files of quantisation-aware training it has one.
    assert sorted(map(len, integers(file).values()))[:2] <= [16, 16]
    assert len(gzip.compress(file)) < 0.75 * len(gzip.compress(plain))


@pytest.mark.parametrize(
    "steps",
    [
        "prune(0.5)|cluster(16)|qat",
        pytest.param("cluster(16)|qat", marks=pytest.mark.slow),
        pytest.param("prune(0.5)|qat", marks=pytest.mark.slow),
    ],
)
def test_the_file_of_a_collaborative_recipe_keeps_zeros_and_groups(steps, wide, feed, photos, accuracy):
    quantized = flow.run(wide, feed, recipe.parse(steps), HOW)
    data = quantized.to_tflite()
    found = integers(data)
    assert len(found) == 3
    if "cluster" in steps:
        assert max(map(len, found.values())) <= 16
    if "prune" in steps:
        shares = sparsities(quantized.model)
        assert min(shares[name] for name in ("conv1", "conv2", "hidden")) >= 0.5
        interpreter = LiteModel(data)._interpreter
        for tensor in interpreter.get_tensor_details():
            if tensor["name"] in found:
                assert np.mean(interpreter.get_tensor(tensor["index"]) == 0) >= 0.5
    assert accuracy(LiteModel(data).predict(photos[0])) >= 0.9


def test_zeros_stay_zeros(wide, feed):
    pruned = keras.models.clone_model(wide)
    pruned.set_weights(wide.get_weights())
    weights = np.array(pruned.get_layer("conv1").kernel)
    weights[np.abs(weights) < np.median(np.abs(weights))] = 0
    pruned.get_layer("conv1").kernel.assign(weights)
    small = cluster(pruned, feed, clusters=8, how=HOW)
    after = np.asarray(small.get_layer("conv1").kernel)
    np.testing.assert_array_equal(after[weights == 0], 0)
    assert len(values(small, "conv1")) == 4  # zero and three magnitudes: seven integers


def test_which_layers(wide, feed):
    legacy = bridge.to_tf_keras(wide)
    assert module.chosen(legacy, None) == ["conv1", "conv2", "hidden"]
    assert module.chosen(legacy, ("conv*",)) == ["hidden", "top"]
    with pytest.raises(InputError, match="no layer that can be clustered matches 'convv1'.*Did you mean 'conv1'"):
        cluster(wide, feed, keep=("convv1",), how=HOW)


@pytest.mark.parametrize("clusters", [3, 129, 16.0, True])
def test_so_many_clusters_are_none(wide, feed, clusters):
    with pytest.raises(InputError, match="clusters must be a whole number from 4 to 128, received"):
        cluster(wide, feed, clusters=clusters, how=HOW)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 8))
def test_kmeans_finds_groups_that_stand_apart(seed, count):
    rng = np.random.default_rng(seed)
    centres = np.arange(count) + rng.uniform(0, 0.2, count)
    numbers = (centres + rng.uniform(-0.02, 0.02, (100, count))).ravel()
    np.testing.assert_allclose(kmeans(numbers, count, rng), centres, atol=0.02)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([4, 16, 32]))
def test_shared_weights_are_near_and_keep_sign_and_largest(seed, clusters):
    kernel = np.random.default_rng(seed).normal(0, 1, (3, 3, 8, 12)).astype("float32")
    found = np.asarray(shared(kernel, magnitudes([kernel], clusters)))
    np.testing.assert_array_equal(np.sign(found), np.sign(kernel))
    np.testing.assert_allclose(np.abs(found).max((0, 1, 2)), np.abs(kernel).max((0, 1, 2)), rtol=1e-6)
    # Uniform steps of the same number leave the square of half a step, a third of it on average.
    step = np.abs(kernel).max((0, 1, 2)) / (clusters // 2)
    assert np.square(found - kernel).mean() < np.square(step).mean() / 3


def test_all_kernels_share_the_same_integers_and_zero_takes_one_of_them():
    draw = np.random.default_rng(0)
    wide, narrow = (draw.normal(0, size, (3, 3, 8, 12)).astype("float32") for size in (3, 0.1))
    values = magnitudes([wide, narrow], 16)
    assert len(values) == 8
    np.testing.assert_array_equal(values * 127, np.round(values * 127))
    for kernel in (wide, narrow):
        unit = np.abs(shared(kernel, values)) / np.abs(kernel).max((0, 1, 2))
        assert set(np.round(np.unique(unit) * 127)) <= set(np.round(values * 127))
    wide[0] = 0
    values = magnitudes([wide, narrow], 16)
    assert (len(values), values[0]) == (8, 0)  # 15 integers


def test_weights_of_few_values_keep_them():
    kernel = np.tile(np.array([[1.0, 64 / 127]], "float32"), (8, 1))
    np.testing.assert_array_equal(shared(kernel, magnitudes([kernel], 16)), kernel)
    assert magnitudes([np.zeros((4, 4), "float32")], 16).tolist() == [0.0, 1.0]


def test_where_zero_is_a_value_small_weights_round_to_it():
    draw = np.random.default_rng(0)
    pruned, dense = (draw.normal(0, 1, (3, 3, 8, 12)).astype("float32") for _ in range(2))
    pruned[np.abs(pruned) < 1] = 0
    values = magnitudes([pruned, dense], 16)
    found = np.asarray(shared(dense, values)) / np.abs(dense).max((0, 1, 2))
    unit = dense / np.abs(dense).max((0, 1, 2))
    nearest = values[np.abs(np.abs(unit)[..., None] - values).argmin(-1)] * np.sign(unit)
    np.testing.assert_allclose(found, nearest, atol=1e-6)
    assert (found == 0).any()


def test_four_clusters_with_zeros_are_three_integers():
    kernel = np.random.default_rng(0).normal(0, 1, (3, 3, 8, 12)).astype("float32")
    kernel[0] = 0
    values = magnitudes([kernel], 4)
    assert values.tolist() == [0.0, 1.0]
    unit = kernel / np.abs(kernel).max((0, 1, 2))
    found = np.asarray(shared(kernel, values)) / np.abs(kernel).max((0, 1, 2))
    np.testing.assert_allclose(found, np.sign(kernel) * (np.abs(unit) > 0.5), rtol=1e-6)


def test_nothing_to_cluster(feed):
    image = keras.Input((48, 48, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(image))
    model = keras.Model(image, layers.Dense(6, activation="softmax")(x), name="short")
    with pytest.raises(InputError, match=r"cluster finds no kernel to share values in 'short': .* Set keep=\[\], or"):
        cluster(model, feed, how=HOW)
