import keras
import numpy as np
import pytest
from keras import layers

from tfmap import models
from tfmap.compress import bridge, compress
from tfmap.compress.channels import channels, without_channels
from tfmap.compress.channels_rebuild import flattened
from tfmap.compress.finetune import FineTuning
from tfmap.compress.prune import sparsities
from tfmap.errors import InputError
from tfmap.export import convert
from tfmap.litert import LiteModel


@pytest.mark.parametrize(
    "score", ["taylor", pytest.param("l1", marks=pytest.mark.slow), pytest.param("batchnorm", marks=pytest.mark.slow)]
)
def test_half_of_the_work_is_left_and_the_photographs_are_still_known(classifier, feed, photos, accuracy, score):
    before = [np.copy(np.asarray(weight)) for weight in classifier.weights]
    how = FineTuning(epochs=24, learning_rate=0.01, verbose=False, teacher=classifier)
    small = channels(classifier, feed, macs=0.5, score=score, multiple=1, how=how)
    assert 0.47 < models.multiply_adds(small) / models.multiply_adds(classifier) <= 0.5
    images = photos[0].astype("float32")
    assert accuracy(small.predict(images, verbose=0)) > 0.9
    for weight, value in zip(classifier.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), value, err_msg=f"{weight.path} of the original has moved")


def test_the_pictures_know_better_than_chance_which_channels_go(classifier, feed, photos, accuracy):
    """Without any fine-tuning most of the photographs are still known."""
    images = photos[0].astype("float32")
    small = without_channels(classifier, feed, macs=0.8, multiple=1)
    assert accuracy(small.predict(images, verbose=0)) > 0.6


def test_layers_keep_their_names_and_multiples(classifier, feed):
    keep = next(layer.name for layer in classifier.layers if type(layer) is layers.Conv2D)
    small = without_channels(classifier, feed, macs=0.8, multiple=4, keep=[keep])
    assert [layer.name for layer in small.layers] == [layer.name for layer in classifier.layers]
    filters = [layer.filters for layer in small.layers if type(layer) is layers.Conv2D]
    assert filters[0] == 16
    assert filters[1] < 32
    assert filters[1] % 4 == 0


def test_in_a_recipe(classifier, source):
    options = {"learning_rate": 0.01, "verbose": False, "pipeline": {"batch_size": 16}}
    small = compress(classifier, source, recipe="channels(0.6, 'l1', 2, epochs=1)", **options)
    assert models.multiply_adds(small) < 0.6 * models.multiply_adds(classifier)


@pytest.mark.slow
def test_first_of_several_steps(classifier, source, photos, accuracy):
    recipe = "channels(0.8, multiple=2, epochs=6)|prune(0.5)|qat(epochs=2, learning_rate=1e-3)"
    options = {"epochs": 3, "learning_rate": 0.01, "verbose": False, "pipeline": {"batch_size": 16}}
    small = compress(classifier, source, recipe=recipe, **options)
    assert models.multiply_adds(small.model) < 0.8 * models.multiply_adds(classifier)
    assert 0.5 in sparsities(small.model).values()
    answers = LiteModel(small.to_tflite()).predict(photos[0])
    assert accuracy(answers) > 0.8
    assert np.mean(answers.argmax(1) == small.predict(photos[0]).argmax(1)) > 0.95


def test_the_file_answers_as_the_model_does(classifier, photos):
    small = without_channels(classifier, score="l1", multiple=2)
    images = photos[0][:4]
    expected = small.predict(images.astype("float32"), verbose=0)
    np.testing.assert_allclose(LiteModel(convert.float32(small)).predict(images), expected, atol=1e-5)


def test_a_model_that_no_bridge_carries_can_lose_channels():
    class Own(layers.Layer):
        def call(self, x):
            return keras.ops.flip(x, -1)

    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 1, name="b")(layers.Conv2D(32, 3, name="a")(image))
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(Own()(x))))
    with pytest.raises(InputError, match="it is a layer of your own"):
        bridge.to_tf_keras(model)
    small = without_channels(model, score="l1", macs=0.51)
    assert (small.get_layer("a").filters, small.get_layer("b").filters) == (16, 16)


@pytest.mark.parametrize(("score", "weight"), [("taylor", "kernel"), ("l1", "kernel"), ("batchnorm", "gamma")])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_name_their_layer(classifier, feed, score, weight, value):
    broken = flattened(classifier)
    wanted = layers.BatchNormalization if weight == "gamma" else layers.Conv2D
    layer = next(layer for layer in broken.layers if type(layer) is wanted)
    getattr(layer, weight).assign(np.full(getattr(layer, weight).shape, value))
    text = f"channels reads the {weight} of layer '{layer.name}', which holds NaN or inf. Expected finite weights."
    with pytest.raises(InputError, match=text):
        without_channels(broken, feed, score=score)


def test_gradients_that_are_no_numbers_rank_nothing(classifier, feed):
    broken = flattened(classifier)
    broken.get_layer("probabilities").bias.assign(np.full(6, np.nan))
    text = r"finds gradients of model 'tiny' that are no numbers on 12 of 12 batches .* or take score='l1'"
    with pytest.raises(InputError, match=text):
        without_channels(broken, feed)


def test_a_model_that_has_nothing_to_give():
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(2)], name="flat")
    with pytest.raises(InputError, match="channels finds none in model 'flat' that may go"):
        without_channels(model, score="l1")


WRONG = {
    "macs must be in (0, 1), received 50; 0.5 keeps half of the multiply-adds": {"macs": 50},
    "score must be one of taylor, l1, batchnorm, received 'l2'": {"score": "l2"},
    "multiple must be at least 1, received 0": {"multiple": 0},
    "channels(score='taylor') looks at pictures; give it a feed": {"score": "taylor"},
    "no layer that makes channels matches 'stem'": {"score": "l1", "keep": ["stem"]},
    "channels can leave no less than": {"score": "l1", "macs": 0.001},
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_settings(classifier, text):
    with pytest.raises(InputError) as caught:
        without_channels(classifier, **WRONG[text])
    assert text in str(caught.value)
