"""Necks: every map knows of the others, and what does not fit is told."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfmap import models
from tfmap.errors import InputError
from tfmap.models import necks

LEVELS = ("P3", "P4", "P5")


@pytest.fixture(scope="module")
def body():
    return models.build("mobilenet_v1_025", input_shape=(64, 96, 3))


@pytest.mark.parametrize("neck", [necks.fpn, necks.pan])
def test_maps_keep_their_places_and_get_one_width(body, neck):
    maps = neck(body.output, LEVELS, 24)
    assert {level: tuple(x.shape) for level, x in maps.items()} == {
        "P3": (None, 8, 12, 24), "P4": (None, 4, 6, 24), "P5": (None, 2, 3, 24)
    }  # fmt: skip


def test_coarser_levels_are_made():
    body = models.build("mobilenet_v1_025", input_shape=(128, 128, 3))
    maps = necks.fpn(body.output, ("P4", "P5", "P6", "P7"), 16)
    assert [x.shape[1] for x in maps.values()] == [8, 4, 2, 1]


def reach(neck, level):
    """Levels of the backbone that a map of the neck depends on."""
    features = {name: keras.Input((side, side, 4), name=name) for name, side in zip(LEVELS, (8, 4, 2), strict=True)}
    keras.utils.set_random_seed(0)
    net = keras.Model(features, neck(features, LEVELS, 8)[level])
    quiet = {name: np.ones((1, *x.shape[1:]), "float32") for name, x in features.items()}
    before = np.asarray(net(quiet))
    return {name for name in LEVELS if not np.allclose(net({**quiet, name: 3 * quiet[name]}), before, atol=1e-6)}


def test_fpn_hands_down():
    assert [reach(necks.fpn, level) for level in LEVELS] == [{"P3", "P4", "P5"}, {"P4", "P5"}, {"P5"}]


def test_pan_hands_up_again():
    assert [reach(necks.pan, level) for level in LEVELS] == [set(LEVELS)] * 3


def test_a_level_that_is_not_there_is_told():
    small = models.build("resnet8", input_shape=(32, 32, 3), weights=None)
    with pytest.raises(InputError, match="this neck reads P3, P4, P5; the backbone has .*Take a backbone with P3"):
        necks.fpn(small.output, LEVELS, 8)


def test_sizes_that_do_not_halve_are_told():
    odd = models.build("mobilenet_v1_025", input_shape=(72, 72, 3))
    with pytest.raises(InputError, match="must have half of the one below. Make height and width .* multiples of 32"):
        necks.fpn(odd.output, LEVELS, 8)
