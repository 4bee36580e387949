import keras
import numpy as np
import pytest
from keras import layers

from tfmap.compress.channels_groups import groups
from tfmap.compress.channels_rebuild import flattened
from tfmap.errors import InputError


def families(model, keep=()):
    """The layers that make each family of channels that may go, and how many groups it has."""
    found = groups(flattened(model), keep)
    makers = {}
    for axis in found.axes:
        if axis.role == "makes":
            numbers = np.unique(found.family[np.unique(axis.channels)], return_counts=True)
            for family, number in zip(*numbers, strict=True):
                makers.setdefault(family, {"channels": number, "layers": set()})["layers"].add(axis.layer)
    return {frozenset(value["layers"]): value["channels"] for key, value in makers.items() if key >= 0}


def test_a_skip_ties_what_it_adds_and_a_gate_what_it_multiplies(residual):
    assert families(residual) == {
        frozenset({"stem", "expand", "project"}): 8,  # the depthwise convolution hands the stem's channels on
        frozenset({"reduce"}): 4,
        frozenset({"top"}): 16,
    }


def test_what_is_to_stay_stays(residual):
    assert set(families(residual, keep=["expand", "to*"])) == {frozenset({"reduce"})}
    with pytest.raises(InputError, match="no layer that makes channels matches 'depthwise'. Layers: "):
        groups(flattened(residual), ["depthwise"])


def test_parts_of_a_sum_are_families_of_their_own():
    image = keras.Input((8, 8, 3))
    a, b, c = (layers.Conv2D(width, 1, name=name)(image) for name, width in (("a", 8), ("b", 16), ("c", 24)))
    x = layers.Add()([c, layers.Concatenate()([a, b])])
    model = keras.Model(image, layers.Dense(2, name="top")(layers.Flatten()(x)))
    assert families(model) == {frozenset("ac"): 8, frozenset("bc"): 16}


def test_outputs_stay_whole():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 1, name="a")(image)
    model = keras.Model(image, {"map": x, "answer": layers.Conv2D(4, 1, name="b")(layers.Conv2D(8, 1, name="c")(x))})
    assert set(families(model)) == {frozenset("c")}


def test_a_model_without_weights_has_nothing_to_take():
    image = keras.Input((8, 8, 3))
    assert families(keras.Model(image, layers.GlobalAveragePooling2D()(image))) == {}


def test_an_open_size_cannot_be_counted():
    image = keras.Input((None, None, 3))
    with pytest.raises(InputError, match="channels counts multiply-adds and needs a fixed input size, but layer 'a'"):
        groups(keras.Model(image, layers.Conv2D(2, 1, name="a")(image)))
