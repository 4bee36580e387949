"""Who gets what: pick and maybe, and the steps that they leave."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfmap import augment
from tfmap.augment.draws import Draw
from tfmap.augment.selection import steps

COUNT = 3000


def dice():
    return Draw(tf.constant([5, 9], tf.uint32), np.zeros((COUNT, 4, 4, 3), "uint8"))


def chosen(policy):
    """The steps of a policy as (name, who takes it, arguments)."""
    found = steps(augment.parse(policy), dice())
    return [
        (step.call.name, None if step.active is None else np.asarray(step.active), step.arguments) for step in found
    ]


def test_ops_outside_a_choice_are_for_all_pictures():
    assert [(name, active) for name, active, _ in chosen("flip|invert")] == [("flip", None), ("invert", None)]


def test_pick_draws_one_of_its_policies_for_every_picture():
    taken = chosen("pick(flip, hue|invert, grey)")
    assert [name for name, _, _ in taken] == ["flip", "hue", "grey", "invert"]
    masks = {name: active for name, active, _ in taken}
    np.testing.assert_array_equal(masks["hue"], masks["invert"])
    alternatives = np.stack([masks["flip"], masks["hue"], masks["grey"]])
    np.testing.assert_array_equal(alternatives.sum(axis=0), 1)
    assert stats.chisquare(alternatives.sum(axis=1)).pvalue > 1e-3


def test_pick_draws_with_replacement_and_every_draw_on_its_own():
    taken = chosen("pick(2, flip, hue)")
    assert [name for name, _, _ in taken] == ["flip", "hue", "flip", "hue"]
    first, second = taken[0][1], taken[2][1]
    assert abs((first & second).mean() - 0.25) < 0.03


def test_maybe_tosses_a_coin_for_each_policy():
    (_, first, _), (_, second, _), (_, third, _) = chosen("maybe(.3, flip|hue, grey)")
    np.testing.assert_array_equal(first, second)
    assert abs(first.mean() - 0.3) < 0.03
    assert abs((first & third).mean() - 0.09) < 0.02


def test_choices_nest():
    (_, flips, _), (_, hues, _) = chosen("maybe(.5, pick(flip, maybe(.5, hue)))")
    assert abs(flips.mean() - 0.25) < 0.03
    assert abs(hues.mean() - 0.125) < 0.03
    assert not (flips & hues).any()


def test_calls_of_one_op_in_several_policies_become_one_with_arguments_per_picture():
    ((name, active, arguments),) = chosen("pick(rotate(10, 10), rotate(20, 20), maybe(0, rotate(30, 30)))")
    assert name == "rotate"
    degrees = np.asarray(arguments["degrees"])
    np.testing.assert_array_equal(np.unique(degrees[active]), [10, 20])
    assert abs(active.mean() - 2 / 3) < 0.03
    (_, _, same), *_ = chosen("pick(zoom(.1), zoom(.1)|hue)")
    assert same == {"factor": 0.1}


def test_two_blends_stay_two():
    assert [name for name, _, _ in chosen("pick(blend(flip), blend(hue))")] == ["blend", "blend"]


@pytest.mark.parametrize("ops", ["pick(keep, mixup(1))", "maybe(.5, cutmix)"])
def test_labels_of_pictures_that_do_not_mix_stay(ops, batch):
    new = augment.build(ops, classes=8)({**batch, "label": np.arange(8, dtype="int32")}, (0, 3))
    kept = np.diag(new["label"]) == 1
    still = np.abs(np.asarray(new["image"], int) - batch["image"]).max(axis=(1, 2, 3)) == 0
    np.testing.assert_array_equal(still, kept)
    assert 0 < kept.sum() < 8
