"""What every op promises, taken from the registry: a new op is tested by being there."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfmap import augment
from tfmap import batch as contract
from tfmap.augment.ops import OPS

SEED = (3, 14)
NOTHING_LEFT_TO_CHANCE = ("autocontrast", "equalise", "grey", "invert", "keep")
# arguments at which an op leaves every picture as it is
IDENTITY = [
    *(
        "flip(0)",
        "vflip(0)",
        "rotate(0)",
        "zoom(0)",
        "shift(0)",
        "shear(0)",
        "rrc(1, 1, 1)",
        "shear_x(0)",
        "shear_y(0)",
    ),
    *("shift_x(0)", "shift_y(0)", "brightness(0)", "contrast(0)", "saturation(0)", "hue(0)", "color(0)", "keep"),
    *("posterise(8, 8)", "solarise(256, 256)", "sharpness(0)", "blur(0)", "noise(0)", "salt_pepper(0)", "cutout(0)"),
    *("perspective(0)", "elastic(0)"),
    *("erase(0)", "maybe(0, invert)", "pick(3, keep)", "blend(keep, keep)", "invert|invert"),
]


SLOW = ("autoaugment", "augmix")  # many steps to compile
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in OPS]


def example(name):
    """A policy with the op and nothing else; choices have three others in them."""
    return f"{name}(flip, hue(.3), posterise|rotate)" if OPS[name].takes_policies else name


def suited(name, batch):
    """The batch with what the op needs: objects to paste."""
    if name != "copy_paste":
        return batch
    mask = np.zeros(batch["image"].shape[:3], "int32")
    mask[:, : 1 + mask.shape[1] // 2] = 1
    return {**batch, "mask": mask}


def difference(a, b):
    return np.abs(np.asarray(a, "float64") - np.asarray(b, "float64"))


def op_by_op(policy, batch):
    """The policy without any compiler."""
    tensors = {key: tf.constant(value) for key, value in batch.items()}
    if policy.mixes_labels:
        tensors["label"] = policy._shares(tensors["label"])
    return policy._apply(tensors, tf.constant(SEED, tf.uint32))


def same_pixels(a, b, share=0.01):
    """Compilers contract a * b + c, so that a value on the edge may round the other way; steps of posterise, solarise
    and jpeg turn that into more than one grey value, in fewer than `share` of the pixels."""
    apart = difference(a, b)
    return (apart > 1).mean() <= share and (apart > 0).mean() <= 2 * share


@pytest.mark.parametrize("name", NAMES)
def test_an_op_keeps_the_contract_and_its_input_and_follows_its_seed(name, batch):
    batch = suited(name, batch)
    before = {key: value.copy() for key, value in batch.items()}
    policy = augment.build(example(name), classes=6)
    new = policy(batch, SEED)
    contract.check(new)
    assert tuple(new["image"].shape) == batch["image"].shape
    assert new["image"].dtype == "uint8"
    assert (difference(new["image"], batch["image"]).max() > 0) == (name != "keep")
    for key, value in before.items():
        np.testing.assert_array_equal(batch[key], value)
    np.testing.assert_array_equal(new["image"], policy(batch, SEED)["image"])
    other = difference(new["image"], policy(batch, (3, 15))["image"]).max()
    assert (other > 0) == (name not in NOTHING_LEFT_TO_CHANCE)
    if OPS[name].kind != "shorthand":  # they stand for ops that are here themselves
        assert same_pixels(new["image"], op_by_op(policy, batch)["image"])


@pytest.mark.parametrize("name", NAMES)
def test_float_pictures_stay_float_and_in_range_at_odd_sizes(name, photo):
    for height, width in ((37, 53), (1, 1)):
        image = photo[None, :height, :width]
        new = op_by_op(
            augment.build(example(name), classes=6),
            suited(name, {"image": image.astype("float32"), "label": np.zeros(1, "int32")}),
        )["image"]
        assert new.dtype == "float32"
        assert tuple(new.shape) == image.shape
        assert np.isfinite(new).all()
        assert 0 <= np.min(new) <= np.max(new) <= 255


@pytest.mark.slow
@pytest.mark.parametrize("name", OPS)
def test_one_seed_is_one_result_in_eager_graph_and_xla(name, batch):
    policy = augment.build(example(name), classes=6)
    tensors = {key: tf.constant(value) for key, value in suited(name, batch).items()}
    eager = policy(tensors, SEED)["image"]
    graph = tf.function(policy)(tensors, tf.constant(SEED))["image"]
    jitted = tf.function(policy, jit_compile=True)(tensors, tf.constant(SEED))["image"]
    assert same_pixels(eager, graph)
    assert same_pixels(eager, jitted)


@pytest.mark.parametrize("ops", IDENTITY)
def test_identity_arguments_change_nothing(ops, batch):
    np.testing.assert_array_equal(op_by_op(augment.build(ops), batch)["image"], batch["image"])


def test_identity_arguments_change_nothing_together_and_compiled(batch):
    np.testing.assert_array_equal(augment.build("|".join(IDENTITY))(batch, SEED)["image"], batch["image"])


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.kind in ("tone", "filter", "noise", "erase")])
def test_one_channel_is_enough(name, batch):
    grey = batch["image"][..., :1]
    new = np.asarray(op_by_op(augment.build(name), {"image": grey})["image"])
    assert new.shape == grey.shape
    assert difference(new, grey).max() > 0


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.kind in ("tone", "filter", "noise", "erase")])
def test_who_takes_an_op_is_changed_as_if_all_took_it_and_the_others_stay(name, batch):
    """`maybe` draws its coin first, so the op is drawn one number later: only ops without chance can be compared."""
    some = np.asarray(augment.build(f"maybe(.5, {name})")(batch, SEED)["image"])
    taken = difference(some, batch["image"]).max(axis=(1, 2, 3)) > 0
    assert 0 < taken.sum() < 8
    if name in NOTHING_LEFT_TO_CHANCE:
        every = np.asarray(augment.build(name)(batch, SEED)["image"])
        np.testing.assert_array_equal(some[taken], every[taken])
