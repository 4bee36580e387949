"""The eight names of classification."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tfmap
from tfmap import tasks
from tfmap.errors import InputError
from tfmap.tasks import classification as task

EIGHT = ["spec", "prepare", "targets", "build", "losses", "metrics", "decode", "score"]
FOR_PEOPLE = ["curves", "worst", "describe", "alike", "drawn"]


def rows(count, classes, seed=0):
    """Random probabilities (count, classes)."""
    values = np.random.default_rng(seed).gamma(1.0, size=(count, classes)).astype("float32") + 1e-3
    return values / values.sum(axis=1, keepdims=True)


PLACED = ["imitation", "whole"]  # of what has a place in the picture


@pytest.mark.parametrize("name", tasks.NAMES)
def test_every_task_has_the_same_names(name):
    module = tasks.get(name)
    public = [key for key, value in vars(module).items() if callable(value) and value.__module__ == module.__name__]
    names = [key for key in public if not key.startswith("_")]
    assert [key for key in names if key not in PLACED] == EIGHT + FOR_PEOPLE
    assert [key for key in names if key in PLACED] == ([] if name == "classification" else PLACED)


def test_unknown_task_names_the_known_ones():
    with pytest.raises(
        InputError, match=r"unknown task 'clasification'\. Known tasks: .*Did you mean 'classification'"
    ):
        tasks.get("clasification")


def test_spec_is_the_batch_contract():
    spec = task.spec(classes=6, size=(32, 48), batch_size=4)
    assert spec["image"].shape == (4, 32, 48, 3)
    assert spec["image"].dtype.name == "uint8"
    assert spec["label"].shape == (4,)
    assert task.spec(classes=6, size=(32, 48), multi_label=True)["label"].shape == (None, 6)


def test_prepare_resizes_like_bilinear_sampling(photo):
    small = np.asarray(task.prepare({"image": photo}, (40, 56))["image"])
    assert small.shape == (40, 56, 3)
    assert small.dtype == np.uint8
    # the centre of an output pixel lies at (i + 0.5) * scale - 0.5 of the input
    y, x = (20 + 0.5) * photo.shape[0] / 40 - 0.5, (28 + 0.5) * photo.shape[1] / 56 - 0.5
    y0, x0, fy, fx = int(y), int(x), y % 1, x % 1
    corner = photo[y0 : y0 + 2, x0 : x0 + 2].astype(float)
    expected = np.einsum("i,j,ijc->c", [1 - fy, fy], [1 - fx, fx], corner)
    np.testing.assert_allclose(small[20, 28], expected, atol=0.51)


def test_prepare_leaves_a_picture_of_the_right_size_alone(photo):
    np.testing.assert_array_equal(np.asarray(task.prepare({"image": photo}, photo.shape[:2])["image"]), photo)


@given(st.integers(2, 9), st.floats(0, 0.9))
def test_targets_are_shares_that_sum_to_one(classes, smoothing):
    labels = np.arange(classes, dtype="int32")
    found = np.asarray(task.targets({"label": labels}, classes=classes, label_smoothing=smoothing))
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.diag(found), 1 - smoothing + smoothing / classes, atol=1e-5)


def test_targets_of_mixed_labels_keep_their_shares():
    mixed = np.array([[0.25, 0.75, 0.0]], "float32")
    np.testing.assert_allclose(np.asarray(task.targets({"label": mixed}, classes=3)), mixed)


def test_cross_entropy_is_minus_the_log_of_the_true_class():
    probabilities, labels = rows(16, 5), np.arange(16) % 5
    found = np.asarray(task.losses()(np.eye(5, dtype="float32")[labels], probabilities))
    np.testing.assert_allclose(found, -np.log(probabilities[np.arange(16), labels]), rtol=1e-5)


def test_focal_is_cross_entropy_times_the_hardness():
    probabilities, labels = rows(16, 5), np.arange(16) % 5
    found = np.asarray(task.losses("focal", gamma=2.0)(np.eye(5, dtype="float32")[labels], probabilities))
    true = probabilities[np.arange(16), labels]
    np.testing.assert_allclose(found, (1 - true) ** 2 * -np.log(true), rtol=1e-4)


def test_focal_without_gamma_is_cross_entropy():
    probabilities, truths = rows(8, 4), np.eye(4, dtype="float32")[np.arange(8) % 4]
    np.testing.assert_allclose(
        np.asarray(task.losses("focal", gamma=0.0)(truths, probabilities)),
        np.asarray(task.losses()(truths, probabilities)),
        rtol=1e-6,
    )


def test_class_weights_follow_mixed_labels():
    probabilities = np.array([[0.5, 0.5]], "float32")
    loss = task.losses(class_weights=[1.0, 3.0])
    half = np.array([[0.5, 0.5]], "float32")
    np.testing.assert_allclose(np.asarray(loss(half, probabilities)), [2.0 * np.log(2)], rtol=1e-5)


KINDS = st.sampled_from(["cross_entropy", "focal", "logit_adjustment"])


@settings(deadline=None, max_examples=40)
@given(KINDS, st.booleans(), st.floats(0, 1), st.floats(0, 0.5))
def test_every_loss_of_a_mixture_is_the_mixture_of_its_losses(kind, multi_label, share, smoothing):
    """Weights, priors and smoothed targets included: what mixup and cutmix rely on."""
    loss = task.losses(kind, multi_label=multi_label, class_weights=[1.0, 3.0, 0.5], priors=[0.2, 0.5, 0.3])
    probabilities = rows(8, 3)
    one, other = (np.eye(3, dtype="float32")[np.arange(8) % 3 - shift] for shift in (0, 1))
    one, other = (np.asarray(task.targets({"label": y}, classes=3, label_smoothing=smoothing)) for y in (one, other))
    mixed = loss(share * one + (1 - share) * other, probabilities)
    expected = share * np.asarray(loss(one, probabilities)) + (1 - share) * np.asarray(loss(other, probabilities))
    np.testing.assert_allclose(np.asarray(mixed), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(("priors", "tau"), [(None, 1.0), ([0.7, 0.2, 0.1], 0.0)])
def test_logit_adjustment_without_imbalance_is_cross_entropy(multi_label, priors, tau):
    priors = priors or [0.5 if multi_label else 1 / 3] * 3
    probabilities, truths = rows(9, 3), np.eye(3, dtype="float32")[np.arange(9) % 3]
    adjusted = task.losses("logit_adjustment", multi_label=multi_label, priors=priors, tau=tau)
    plain = task.losses(multi_label=multi_label)
    np.testing.assert_allclose(adjusted(truths, probabilities), plain(truths, probabilities), rtol=1e-4)


def test_logit_adjustment_adds_tau_log_prior_to_the_logits():
    logits = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    priors, truths = np.array([0.6, 0.3, 0.09, 0.01]), np.eye(4, dtype="float32")[np.arange(16) % 4]
    found = task.losses("logit_adjustment", priors=priors, tau=1.5)(truths, keras.ops.softmax(logits))
    expected = keras.losses.categorical_crossentropy(truths, logits + 1.5 * np.log(priors), from_logits=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_logit_adjustment_of_several_labels_adds_the_log_odds():
    logits = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    priors, truths = np.array([0.6, 0.01]), np.eye(2, dtype="float32")[np.arange(16) % 2]
    found = task.losses("logit_adjustment", multi_label=True, priors=priors)(truths, keras.ops.sigmoid(logits))
    shifted = logits + np.log(priors) - np.log(1 - priors)
    np.testing.assert_allclose(found, keras.losses.binary_crossentropy(truths, shifted, from_logits=True), rtol=1e-4)


def test_multi_label_loss_is_binary_cross_entropy():
    truths = np.array([[1, 0, 1], [0, 0, 0]], "float32")
    probabilities = rows(2, 3)
    expected = keras.losses.binary_crossentropy(truths, probabilities)
    np.testing.assert_allclose(np.asarray(task.losses(multi_label=True)(truths, probabilities)), expected, rtol=1e-4)


def test_losses_are_finite_at_zero_and_one():
    certain = np.eye(3, dtype="float32")
    wrong = np.roll(certain, 1, axis=1)
    for multi_label in (False, True):
        for kind in ("cross_entropy", "focal", "logit_adjustment"):
            loss = task.losses(kind, multi_label=multi_label, priors=[0.98, 0.01, 0.01])
            assert np.isfinite(np.asarray(loss(wrong, certain))).all()


def test_unknown_loss():
    with pytest.raises(
        InputError, match="train.loss must be cross_entropy, focal or logit_adjustment, received 'hinge'"
    ):
        task.losses("hinge")


@pytest.fixture(scope="module")
def model():
    return tfmap.build_classifier("mobilenet_v1_025", classes=4, input_shape=(64, 64, 3))


def test_build_is_an_ordinary_functional_model(model):
    assert isinstance(model, keras.Model)
    assert model.input.name == "image"
    assert model.output_names == ["probabilities"]
    assert model.output_shape == (None, 4)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)


def test_build_takes_pixels_and_gives_probabilities(model, photo):
    batch = np.asarray(task.prepare({"image": photo}, (64, 64))["image"])[None].astype("float32")
    found = np.asarray(model(batch))
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)


def test_build_multi_label_ends_in_sigmoids():
    model = tfmap.build_classifier("lenet", classes=3, input_shape=(32, 32, 3), weights=None, multi_label=True)
    assert model.get_layer("probabilities").activation is keras.activations.sigmoid


def test_keras_users_fit_it_as_it_is(tmp_path):
    model = tfmap.build_classifier("lenet", classes=2, input_shape=(32, 32, 3), weights=None, dropout=0.0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    dark_and_bright = np.concatenate([np.zeros((8, 32, 32, 3)), np.full((8, 32, 32, 3), 255.0)])
    model.fit(dark_and_bright, np.repeat([0, 1], 8), epochs=5, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(dark_and_bright), model(dark_and_bright), rtol=1e-6)
    assert (np.argmax(again(dark_and_bright), axis=1) == np.repeat([0, 1], 8)).all()


@pytest.mark.parametrize(
    ("keywords", "text"),
    [
        ({"classes": 1}, "classes must be a whole number of at least 2, received 1"),
        ({"classes": 2.5}, "model.classes must be int, received 2.5"),
        ({"classes": 2, "dropout": 1.0}, r"model.dropout must be in \[0, 1\), received 1.0"),
    ],
)
def test_build_refuses(keywords, text):
    with pytest.raises(InputError, match=text):
        tfmap.build_classifier("lenet", input_shape=(32, 32, 3), weights=None, **keywords)


def test_the_likeliest_are_described():
    row = np.array([0.1, 0.7, 0.2], "float32")
    found = task.describe(row, classes=["a", "b", "c"], top_k=2)
    assert [one["label"] for one in found] == ["b", "c"]
    assert [one["score"] for one in found] == pytest.approx([0.7, 0.2])
    np.testing.assert_array_equal(task.decode(row[None])[0], row)


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="describe: 3 outputs but 2 class names"):
        task.describe(np.ones(3, "float32"), classes=["a", "b"])


def test_a_drawn_picture_has_its_class_below():
    shown = task.drawn(np.zeros((4, 4, 3), np.uint8), np.array([0.2, 0.8], "float32"), classes=["a", "b"])
    assert shown.text == "b 0.80"


def test_score_knows_both_kinds_of_truth():
    assert task.score(rows(20, 3), np.arange(20) % 3, classes=["a", "b", "c"])["accuracy"] >= 0
    truths = (rows(20, 3) > 0.3).astype("float32")
    assert 0 <= task.score(rows(20, 3, 1), truths, classes=["a", "b", "c"])["map"] <= 1
