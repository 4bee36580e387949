"""Published policies: the strings that they stand for."""

from __future__ import annotations

import re

import pytest

from tfmap import augment

FOURTEEN = {
    *("keep", "shear_x", "shear_y", "shift_x", "shift_y", "rotate", "brightness", "saturation", "contrast"),
    *("sharpness", "posterise", "solarise", "autocontrast", "equalise"),
}


def arguments(call):
    return {policy[0].name: policy[0].arguments for policy in call.policies}


@pytest.mark.parametrize(
    ("m", "degrees", "shift", "factor", "bits", "threshold"),
    [(9, 9.0, 0.1360, 0.27, 7, 178.5), (30, 30.0, 0.4532, 0.9, 4, 0.0), (0, 0.0, 0.0, 0.0, 8, 255.0)],
)
def test_randaugment_has_torchvisions_strengths(m, degrees, shift, factor, bits, threshold):
    (pick,) = augment.parse(f"randaugment(3, {m})")
    assert pick.arguments == {"n": 3}
    drawn = arguments(pick)
    assert set(drawn) == FOURTEEN
    assert drawn["rotate"] == {"degrees": degrees, "least": degrees}
    assert drawn["shift_x"] == drawn["shift_y"] == {"factor": shift, "least": shift}
    for name in ("brightness", "saturation", "contrast", "sharpness"):
        assert drawn[name] == {"factor": factor, "least": factor}
    assert drawn["posterise"] == {"lo": bits, "hi": bits}
    assert drawn["solarise"] == {"lo": threshold, "hi": threshold}


def test_trivialaugment_draws_one_op_at_any_strength():
    (pick,) = augment.parse("trivialaugment")
    assert pick.arguments == {"n": 1}
    drawn = arguments(pick)
    assert set(drawn) == FOURTEEN
    assert drawn["rotate"] == {"degrees": 135, "least": 0.0}
    assert drawn["posterise"] == {"lo": 2, "hi": 8}


@pytest.mark.parametrize(
    ("dataset", "first", "last"),
    [
        ("imagenet", "maybe(.4, posterise(4, 4))|maybe(.6, rotate(30, 30))", "maybe(.8, equalise)|maybe(.6, equalise)"),
        (
            "cifar10",
            "maybe(.1, invert)|maybe(.2, contrast(.6, .6))",
            "maybe(.7, shift_y(.4532, .4532))|maybe(.9, autocontrast)",
        ),
        (
            "svhn",
            "maybe(.9, shear_x(7.4222, 7.4222))|maybe(.2, invert)",
            "maybe(.7, shear_x(3.7111, 3.7111))|maybe(.1, invert)",
        ),
    ],
)
def test_autoaugment_draws_one_of_the_25_pairs_of_its_data_set(dataset, first, last):
    (pick,) = augment.parse(f"autoaugment('{dataset}')")
    assert len(pick.policies) == 25
    assert all(len(pair) == 2 and {call.name for call in pair} == {"maybe"} for pair in pick.policies)
    assert pick.policies[0] == augment.parse(first)
    assert pick.policies[-1] == augment.parse(last)


def test_augmix_blends_chains_of_one_to_three_ops():
    (blend,) = augment.parse("augmix(3, 4)")
    assert len(blend.policies) == 4
    (chain,) = blend.policies[0]
    assert [depth[0].arguments["n"] for depth in chain.policies] == [1, 2, 3]
    assert len(chain.policies[0][0].policies) == 9
    (fixed,) = augment.parse("augmix(10, 1, 2)")[0].policies[0]
    assert [depth[0].arguments["n"] for depth in fixed.policies] == [2]


def test_a_published_policy_is_written_like_any_other():
    names = [call.name for call in augment.parse("flip|randaugment|erase")]
    assert names == ["flip", "pick", "erase"]
    assert re.match(r"randaugment\(n=2, m=9\): ", augment.known_ops()["randaugment"])
