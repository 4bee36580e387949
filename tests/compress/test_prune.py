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


@pytest.fixture(scope="module")
def wide(photos):
    """A classifier with four prunable kernels that has learned the photographs by heart."""
    images, labels = photos
    keras.utils.set_random_seed(1)
    image = keras.Input((48, 48, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    for name, width in {"stem": 16, "body": 32, "top": 32}.items():
        x = layers.Conv2D(width, 3, strides=2, use_bias=False, name=name)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.Dense(6, activation="softmax", name="probabilities")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, x)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(images.astype("float32"), labels, batch_size=16, epochs=40, verbose=0)
    return model


@pytest.mark.parametrize("schedule", ["polynomial", "constant"])
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
    with pytest.raises(InputError, match=r"sparsity must be in \[0, 1\), received 50; 0.5 zeroes half"):
        plan(legacy, 50)
    with pytest.raises(InputError, match=r"no layer that can be pruned matches 'topp'.*Did you mean 'top'"):
        plan(legacy, {"topp": 0.5})
    with pytest.raises(InputError, match="no layer that can be pruned matches 'depthwise'. Layers: stem, reduce"):
        plan(legacy, 0.5, keep=("depthwise",))
    with pytest.raises(InputError, match="schedule must be polynomial or constant, received 'step'"):
        prune(residual, feed, schedule="step", how=HOW)
