import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tfmap import models
from tfmap.compress.channels_choice import Cost, choose
from tfmap.compress.channels_groups import groups
from tfmap.compress.channels_rebuild import flattened, shrunk
from tfmap.errors import InputError


@pytest.fixture(scope="module")
def net():
    """(model, groups, cost) of two stages with skips and of three layers that stand alone."""
    keras.utils.set_random_seed(0)
    image = x = keras.Input((16, 16, 3))
    for stage, width in enumerate((20, 48)):
        x = layers.Conv2D(width, 3, strides=2, name=f"down{stage}")(x)
        y = layers.DepthwiseConv2D(3, padding="same")(layers.Conv2D(2 * width, 1, name=f"expand{stage}")(x))
        x = layers.Add()([x, layers.Conv2D(width, 1, name=f"project{stage}")(y)])
    x = layers.Conv2DTranspose(12, 2, name="up")(layers.SeparableConv2D(32, 3, name="apart")(x))
    model = keras.Model(image, layers.Dense(5, name="top")(layers.Flatten()(x)))
    flat = flattened(model)
    found = groups(flat)
    return flat, found, Cost(flat, found)


def test_the_cost_is_that_of_the_model(net):
    flat, found, cost = net
    everything = np.ones(len(found.family), bool)
    assert cost.of(everything) == models.multiply_adds(flat)
    kept = np.random.default_rng(0).uniform(size=len(everything)) < 0.6
    kept |= found.family < 0
    assert cost.of(kept) == models.multiply_adds(shrunk(flat, found, kept))


def test_what_one_group_saves(net):
    flat, found, cost = net
    everything = np.ones(len(found.family), bool)
    for group in range(0, len(everything), 7):
        kept = everything.copy()
        kept[group] = False
        if found.family[group] >= 0:
            assert cost.saved()[group] == pytest.approx(cost.of(everything) - cost.of(kept), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.3, 0.95), st.integers(0, 99), st.sampled_from([1, 2, 4]))
def test_the_share_is_reached_and_families_are_multiples(net, macs, seed, multiple):
    flat, found, cost = net
    worth = np.random.default_rng(seed).uniform(size=len(found.family))
    kept = choose(found, cost, worth, macs=macs, multiple=multiple)
    share = cost.of(kept) / cost.of(np.ones(len(kept), bool))
    step = (
        multiple * cost.saved().max() / cost.of(np.ones(len(kept), bool))
    )  # channels of a family go so many at a time
    assert macs - max(step, 0.03) < share <= macs
    assert kept[found.family < 0].all()
    for family in range(found.family.max() + 1):
        members = found.family == family
        left = np.sum(kept & members)
        assert left == members.sum() or left % multiple == 0
        assert left >= max(multiple, members.sum() / 8)


def test_the_least_worth_go_first(net):
    flat, found, cost = net
    worth = np.arange(len(found.family), dtype=float)
    kept = choose(found, cost, worth, macs=0.9, multiple=1)
    gone = worth[~kept]
    stayed = worth[kept & (found.family == found.family[~kept][0])]
    assert len(gone) > 2
    assert np.sort(gone)[-2] < stayed.min()  # but for the last one, put back where it fits


def test_a_family_that_nothing_is_known_of_stays(net):
    flat, found, cost = net
    worth = np.where(found.family == 0, np.inf, 1.0)
    assert choose(found, cost, worth, macs=0.6, multiple=1)[found.family == 0].all()


def test_a_share_out_of_reach(net):
    flat, found, cost = net
    with pytest.raises(InputError, match=r"channels can leave no less than 0\.\d+ of the multiply-adds .* macs=0.01"):
        choose(found, cost, np.ones(len(found.family)), macs=0.01)
