import keras
import numpy as np
import pytest
from keras import layers

from tfmap.compress import bridge
from tfmap.compress.finetune import FineTuning
from tfmap.compress.prune import plan, prune, sparsities
from tfmap.errors import InputError

HOW = FineTuning(epochs=4, learning_rate=0.01, verbose=False)


@pytest.fixture(scope="module")
def legacy(residual):
    return bridge.to_tf_keras(residual)


def kernel(model, name):
    return np.asarray(model.get_layer(name).kernel)


@pytest.mark.parametrize("schedule", ["polynomial", pytest.param("constant", marks=pytest.mark.slow)])
def test_half_of_each_kernel_is_zero_and_the_photographs_are_still_known(wide, feed, photos, accuracy, schedule):
    before = [np.copy(np.asarray(weight)) for weight in wide.weights]
    teacher = FineTuning(epochs=4, learning_rate=0.01, verbose=False, teacher=wide)
    pruned = prune(wide, feed, sparsity=0.5, schedule=schedule, how=teacher)
    assert isinstance(pruned, keras.Model)
    shares = sparsities(pruned)
    assert shares == {"stem": 0, "body": 0.5, "top": 0.5, "depthwise": 0, "probabilities": 0}
    images = photos[0].astype("float32")
    assert accuracy(wide.predict(images, verbose=0)) > 0.95
    assert accuracy(pruned.predict(images, verbose=0)) > 0.9
    for weight, value in zip(wide.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), value, err_msg=f"{weight.path} of the original has moved")


def test_two_of_four_neighbouring_input_channels_are_zero(wide, feed, photos, accuracy):
    pruned = prune(wide, feed, sparsity={"*": "2:4", "top": 0.75}, how=HOW)
    shares = sparsities(pruned)
    assert shares == {"stem": 0, "body": 0.5, "top": 0.75, "depthwise": 0, "probabilities": 0}
    fours = np.moveaxis(kernel(pruned, "body"), 2, -1).reshape(-1, 4)
    np.testing.assert_array_equal(np.sum(fours == 0, axis=1), 2)
    assert accuracy(pruned.predict(photos[0].astype("float32"), verbose=0)) > 0.9


def test_two_of_four_where_channels_are_not_a_multiple_of_four(feed):
    keras.utils.set_random_seed(2)
    image = keras.Input((48, 48, 3))
    x = layers.Conv2D(8, 3, strides=4, name="stem")(image)
    model = keras.Model(image, layers.Dense(6, "softmax")(layers.GlobalAveragePooling2D()(x)))
    pruned = prune(model, feed, sparsity="2:4", keep=("dense*",), how=FineTuning(epochs=1, verbose=False))
    np.testing.assert_array_equal(np.sum(kernel(pruned, "stem") == 0, axis=2), 1)


@pytest.mark.parametrize("block", [(1, 4), pytest.param((2, 2), marks=pytest.mark.slow)])
def test_blocks_become_zero_together(wide, feed, photos, accuracy, block):
    pruned = prune(wide, feed, sparsity=0.5, block=block, how=HOW)
    assert sparsities(pruned) == {"stem": 0, "body": 0.5, "top": 0.5, "depthwise": 0, "probabilities": 0}
    for name in ("body", "top"):
        matrix = kernel(pruned, name).reshape(-1, 32)
        zeros = matrix.reshape(len(matrix) // block[0], block[0], 32 // block[1], block[1]) == 0
        np.testing.assert_array_equal(zeros.any(axis=(1, 3)), zeros.all(axis=(1, 3)))
    assert accuracy(pruned.predict(photos[0].astype("float32"), verbose=0)) > 0.9


def test_one_threshold_for_all(wide, feed):
    legacy = bridge.to_tf_keras(wide)
    magnitudes = {name: np.abs(kernel(wide, name)) for name in ("body", "top")}
    shares = plan(legacy, 0.6, scope="global")
    assert sum(shares[name] * values.size for name, values in magnitudes.items()) == pytest.approx(
        0.6 * sum(values.size for values in magnitudes.values()), abs=2
    )
    assert shares["body"] != pytest.approx(shares["top"], abs=1e-3)
    thresholds = [np.quantile(values, shares[name]) for name, values in magnitudes.items()]
    np.testing.assert_allclose(*thresholds, rtol=1e-2)
    pruned = prune(wide, feed, sparsity=0.6, scope="global", how=FineTuning(epochs=2, verbose=False))
    assert {name: sparsities(pruned)[name] for name in shares} == pytest.approx(shares, abs=1e-3)


def test_one_threshold_empties_no_layer(wide):
    legacy = bridge.to_tf_keras(wide)
    top = legacy.get_layer("top")
    top.kernel.assign(top.kernel / 1000)
    shares = plan(legacy, {"*": 0.7}, scope="global", block=(1, 4))
    sizes = {name: kernel(wide, name).size for name in shares}
    assert shares["top"] == 0.95
    assert sum(shares[name] * sizes[name] for name in shares) == pytest.approx(0.7 * sum(sizes.values()), rel=1e-3)


def test_shares_by_layer(wide, feed):
    pruned = prune(wide, feed, sparsity={"*": 0.25, "top": 0.75}, keep=(), how=FineTuning(epochs=1, verbose=False))
    shares = sparsities(pruned)
    assert {name: shares[name] for name in ("stem", "body", "top")} == {"stem": 0.25, "body": 0.25, "top": 0.75}
    assert shares["depthwise"] == 0


def test_first_convolution_and_last_dense_layer_stay_dense(legacy):
    assert plan(legacy, 0.5) == dict.fromkeys(["reduce", "expand", "project", "top"], 0.5)


def test_what_stays_dense_is_the_users_choice(legacy):
    everything = ["stem", "reduce", "expand", "project", "top", "logits"]
    assert plan(legacy, 0.5, keep=()) == dict.fromkeys(everything, 0.5)
    assert plan(legacy, {"*": 0.5, "re*": 0.0, "top": 0.9}, keep=("stem", "log*")) == {
        "expand": 0.5, "project": 0.5, "top": 0.9,
    }  # fmt: skip


def test_wrong_plans(legacy, residual, feed):
    with pytest.raises(InputError, match=r'sparsity must be in \[0, 1\) or "2:4", received 50; 0.5 zeroes half'):
        plan(legacy, 50)
    with pytest.raises(InputError, match=r"no layer that can be pruned matches 'topp'.*Did you mean 'top'"):
        plan(legacy, {"topp": 0.5})
    with pytest.raises(InputError, match="no layer that can be pruned matches 'depthwise'. Layers: stem, reduce"):
        plan(legacy, 0.5, keep=("depthwise",))
    with pytest.raises(InputError, match="received 'a'"):
        plan(legacy, "a")
    with pytest.raises(InputError, match="scope must be layer or global, received 'all'"):
        plan(legacy, 0.5, scope="all")
    for block in ((0, 4), (4,), (1, 2.0)):
        with pytest.raises(InputError, match="block must be two whole numbers of at least 1"):
            plan(legacy, 0.5, block=block)
    for more in ({"scope": "global"}, {"block": (1, 4)}):
        with pytest.raises(InputError, match="says itself which weights go. Leave scope and block away"):
            plan(legacy, {"*": 0.5, "top": "2:4"}, **more)
    with pytest.raises(InputError, match="scope global takes one share for all layers"):
        plan(legacy, {"*": 0.5, "top": 0.7}, scope="global")
    with pytest.raises(InputError, match="schedule must be polynomial or constant, received 'step'"):
        prune(residual, feed, schedule="step", how=HOW)


def test_nothing_to_prune(feed):
    image = keras.Input((48, 48, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(image))
    model = keras.Model(image, layers.Dense(6, activation="softmax")(x), name="short")
    with pytest.raises(InputError, match=r"prune finds no kernel to prune in 'short': .* Set keep=\[\], or leave"):
        prune(model, feed, how=HOW)
