"""A policy on real batches: the contract, seeds, labels, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfmap import augment
from tfmap.errors import InputError

EVERYTHING = "rrc(.3)|flip|vflip|rotate(30)|zoom|shift|shear|color(.4)|erase(.5)|mix"
SEED = (3, 14)


@pytest.fixture(scope="module")
def policy():
    return augment.build(EVERYTHING, classes=6)


def difference(a, b):
    return np.abs(np.asarray(a, "float64") - np.asarray(b, "float64"))


def test_float_pictures_stay_float_and_in_range(policy, batch):
    image = batch["image"].astype("float32")
    new = policy({**batch, "image": image}, SEED)
    assert new["image"].dtype == "float32"
    assert np.min(new["image"]) >= 0
    assert np.max(new["image"]) <= 255
    assert np.any(np.asarray(new["image"]) % 1)
    assert difference(new["image"], policy(batch, SEED)["image"]).max() <= 0.51


def test_the_empty_policy_passes_everything_on(batch):
    policy = augment.build("")
    new = policy(batch, SEED)
    assert new is not batch
    assert new == batch
    assert not policy.mixes_labels


def test_one_seed_is_one_result_in_eager_graph_and_xla(policy, batch):
    tensors = {key: tf.constant(value) for key, value in batch.items()}
    eager = policy(tensors, SEED)
    graph = tf.function(policy)(tensors, tf.constant(SEED))
    jitted = tf.function(policy, jit_compile=True)(tensors, tf.constant(SEED))
    op_by_op = policy._apply({**tensors, "label": policy._shares(tensors["label"])}, tf.constant(SEED, tf.uint32))
    for other in (graph, jitted, op_by_op):
        # XLA contracts a * b + c, so a value on the edge may round the other way
        assert difference(eager["image"], other["image"]).max() <= 1
        assert (difference(eager["image"], other["image"]) > 0).mean() < 0.01
        np.testing.assert_allclose(eager["label"], other["label"], atol=1e-4)
        np.testing.assert_allclose(eager["weight"], other["weight"], atol=1e-4)
    assert graph["image"].shape == tensors["image"].shape


@pytest.mark.parametrize("seed", [list(SEED), np.array(SEED), tf.constant(SEED, tf.int64), (3, tf.constant(14))])
def test_a_seed_may_be_written_in_several_ways(policy, batch, seed):
    np.testing.assert_array_equal(policy(batch, seed)["image"], policy(batch, SEED)["image"])


def test_other_seeds_other_steps_and_other_pictures_draw_anew(batch):
    policy = augment.build("rrc(.3)|rotate(30)|color(.4)")
    same = {"image": np.repeat(batch["image"][:1], 8, axis=0)}
    first = np.asarray(policy(same, SEED)["image"])
    assert len(np.unique(first.reshape(8, -1), axis=0)) == 8
    for seed in [(3, 15), (4, 14), (-3, 14), (3 + 2**31, 14)]:
        assert difference(first, policy(same, seed)["image"]).mean() > 1


def test_a_later_op_leaves_the_draws_of_earlier_ones(batch):
    plain = np.asarray(augment.build("flip|rotate(30)")(batch, SEED)["image"])
    longer = np.asarray(augment.build("flip|rotate(30)|erase(1, .05)")(batch, SEED)["image"])
    assert (plain == longer).all(axis=-1).mean() > 0.9


def test_unmixed_is_the_policy_without_what_mixes():
    unmixed = augment.build("flip|maybe(.5, mixup)|rotate(9)|mosaic", classes=3).unmixed()
    assert [call.name for call in unmixed.calls] == ["flip", "rotate"]
    alone = augment.build("flip|rotate(9)")
    assert alone.unmixed() is alone


@pytest.mark.parametrize("op", ["mixup(1)", "cutmix(1)", "mix(1, 1)", "cutmix(1)|mixup(1)"])
def test_labels_and_weights_are_the_shares_of_the_pixels(op):
    # picture k is all 10 k: a mean tells who is in it and how much
    values = 10.0 * np.arange(16)
    images = np.ones((16, 20, 20, 3), "float32") * values[:, None, None, None].astype("float32")
    weight = np.linspace(0, 2, 16).astype("float32")
    new = augment.build(op, classes=16)(
        {"image": images, "label": np.arange(16, dtype="int32"), "weight": weight}, SEED
    )
    label = np.asarray(new["label"])
    np.testing.assert_allclose(label.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.asarray(new["weight"]), label @ weight, atol=1e-5)
    np.testing.assert_allclose(np.asarray(new["image"]).mean(axis=(1, 2, 3)), label @ values, atol=1e-2)
    partners = {tuple(np.flatnonzero(row > 0)) for row in label}
    assert all(len(who) <= 3 for who in partners)
    assert any(len(who) >= 2 for who in partners)


def test_several_labels_mix_too_and_without_mixing_stay(batch):
    several = np.eye(6, dtype="float32")[batch["label"]] + np.eye(6, dtype="float32")[0]
    mixed = augment.build("mixup(1)")({**batch, "label": several}, SEED)["label"]
    np.testing.assert_allclose(np.asarray(mixed).sum(axis=1), several.sum(axis=1), atol=1e-5)
    assert difference(mixed, several).max() > 0.01
    kept = augment.build("flip")(batch, SEED)["label"]
    np.testing.assert_array_equal(kept, batch["label"])
    assert kept.dtype == "int32"


def test_keys_that_no_op_touches_are_passed_on(policy, batch):
    new = policy({**batch, "id": tf.constant(["a"] * 8)}, SEED)
    assert list(new) == ["image", "label", "weight", "id"]
    assert new["id"].dtype == tf.string


def test_one_channel_and_a_batch_of_any_size(batch):
    grey = {"image": batch["image"][..., :1]}
    assert augment.build("rrc|flip|erase")(grey, SEED)["image"].shape == (8, 32, 48, 1)
    policy = augment.build("flip|color|mixup", classes=6)
    spec = {"image": tf.TensorSpec((None, 32, 48, 3), tf.uint8), "label": tf.TensorSpec((None,), tf.int32)}
    unknown = tf.function(policy).get_concrete_function(spec, tf.TensorSpec((2,), tf.int32))
    for count in (3, 8):
        few = {key: tf.constant(batch[key][:count]) for key in spec}
        new = unknown(few["image"], few["label"], tf.constant(SEED))
        assert difference(new["image"], policy(few, SEED)["image"]).max() <= 1


@pytest.mark.parametrize(
    ("ops", "change", "text"),
    [
        ("flip", {"image": None}, r"augment: the batch has no 'image'. Keys present: label, weight\."),
        ("mixup", {"label": None}, r"augment: the batch has no 'label'. Keys present: image, weight\."),
        (
            "cutmix|mixup",
            {},
            r"augment: cutmix, mixup mixes labels: class indices \(B,\) need the number of classes, received "
            r"classes=None\. Use build\(ops, classes=K\)\.",
        ),
        (
            "flip",
            {"image": np.zeros((4, 4, 3), "uint8")},
            r"augment: image must be \(B, H, W, C\) with known H, W and C, received shape \(4, 4, 3\)\.",
        ),
        (
            "color",
            {"image": np.zeros((8, 4, 4, 1), "uint8")},
            r"augment: brightness, contrast, saturation, hue needs 3 channels, received image of shape \(8, 4, 4, 1\)",
        ),
        ("copy_paste", {}, r"augment: the batch has no 'mask'. Keys present: image, label, weight\."),
        (
            "flip",
            {"boxes": np.zeros((8, 1, 4), "float32")},
            r"augment: the batch has no 'classes'. Keys present: boxes, image, label, weight\.",
        ),
        (
            "flip|cutmix|mosaic",
            {"points": np.zeros((8, 1, 3), "float32")},
            r"augment: cutmix, mosaic makes one picture of several, and key points cannot say whose they are\. Leave "
            r"it out for this batch\.",
        ),
        (
            "flip",
            {"mask": np.zeros((8, 16, 48), "int32")},
            r"augment: mask must be as large as image, received \(8, 16, 48\) and \(8, 32, 48, 3\)\.",
        ),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(ops, change, text, batch):
    wrong = {key: value for key, value in {**batch, **change}.items() if value is not None}
    with pytest.raises(InputError, match=text):
        augment.build(ops)(wrong, SEED)


def test_a_seed_is_two_integers(policy, batch):
    with pytest.raises(InputError, match=r"augment: seed must be two integers, .* received shape \(3,\)\."):
        policy(batch, (1, 2, 3))
