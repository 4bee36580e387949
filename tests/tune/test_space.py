from __future__ import annotations

import keras_tuner
import pytest

from tfmap import config as configs
from tfmap.errors import InputError
from tfmap.tune import space


def one(key, values):
    return space.parse({key: values})[0]


def test_the_grammar():
    found = space.parse(
        {
            "train.learning_rate": {"min": 1e-4, "max": 1e-2, "log": True},
            "train.epochs": {"min": 10, "max": 30, "step": 5},
            "augment.ops": ["", "flip"],
            "model.input_shape": [[32, 32, 3], [48, 48, 3]],
        }
    )
    assert [d.key.name for d in found] == ["train.learning_rate", "train.epochs", "augment.ops", "model.input_shape"]
    assert (found[0].low, found[0].high, found[0].log) == (1e-4, 1e-2, True)
    assert (found[1].low, found[1].high, found[1].step) == (10, 30, 5)
    assert found[2].choices == ("", "flip")
    assert found[3].choices == ((32, 32, 3), (48, 48, 3))


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("train.learning_rate", {"min": 1e-4, "max": 1e-2, "log": True}),
        ("model.dropout", {"min": 0, "max": 0.5}),
        ("train.epochs", {"min": 2, "max": 8, "step": 3}),
        ("augment.ops", ["", "flip"]),
        ("train.unfreeze", [True, False, "P4"]),
        ("model.input_shape", [[32, 32, 3], [48, 48, 3]]),
        ("pipeline.batch_size", [16, 32]),
        ("model.dropout", [0, 0.5]),
    ],
)
def test_what_keras_tuner_draws_is_a_value_of_the_key(key, values):
    dimension = one(key, values)
    hp = keras_tuner.HyperParameters()
    dimension.declare(hp)
    for seed in range(20):
        value = dimension.value(hp.space[0].random_sample(seed))
        if dimension.choices:
            assert value in dimension.choices
            assert type(value) in {type(choice) for choice in dimension.choices}
        else:
            assert values["min"] <= value <= values["max"]
            assert type(value) is (int if key == "train.epochs" else float)


def test_numbers_keep_their_order_for_the_optimiser():
    assert one("model.dropout", [0, 0.5]).numeric
    assert not one("train.unfreeze", [True, "P3"]).numeric
    assert not one("train.unfreeze", [True, False]).numeric


def test_drawn_values_go_where_they_belong():
    base = configs.check({"model": {"dropout": 0.1, "backbone": "mobilenet_v1_025"}, "augment": {"ops": "flip"}}, "c")
    dimensions = space.parse({"model.dropout": [0.3], "model.input_shape": [[32, 32, 3]]})
    got = space.apply(base, dimensions, {"model.dropout": 0.3, "model.input_shape": "[32, 32, 3]"})
    assert got["model"] == {"dropout": 0.3, "backbone": "mobilenet_v1_025", "input_shape": (32, 32, 3)}
    assert got["augment"] == {"ops": "flip"}
    assert base["model"]["dropout"] == 0.1


def test_the_space_described_reads_back():
    given = {"train.warmup": {"min": 0.0, "max": 0.3, "step": 0.1}, "augment.ops": ["", "flip"]}
    described = {d.key.name: d.described() for d in space.parse(given)}
    assert described == given
    assert space.parse(described) == space.parse(given)


def test_the_default_space_is_a_space_and_leaves_a_named_backbone_alone():
    assert len(space.parse(space.default({}))) == 6
    assert "model.backbone" in space.default({"model": {}})
    assert "model.backbone" not in space.default({"model": {"backbone": "resnet50"}})


def test_default_policies_and_backbones_exist():
    from tfmap import augment
    from tfmap.models import catalogue

    found = space.default({})
    for policy in found["augment.ops"]:
        augment.parse(policy)
    for name in found["model.backbone"]:
        assert catalogue.find(name).name == name


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "tune.space must map config keys to a list of choices or {min:, max:, log: true | step:}, received {}."),
        (["train.epochs"], "tune.space must map config keys to a list of choices"),
        ({"train.lr": [1]}, "tune.space: unknown key 'train.lr'. Keys of train: "),
        ({"datasets.source": ["a"]}, "tune.space: 'datasets.source' cannot be searched: trials differ in pipeline, "),
        (
            {"train.epochs": 3},
            "tune.space: train.epochs must be a list of choices or {min:, max:, log: true | step:}, ",
        ),
        ({"train.epochs": []}, "tune.space: train.epochs must be a list of choices"),
        ({"train.epochs": ["x"]}, "tune.space: train.epochs must be int, received 'x' (str)."),
        ({"train.epochs": {"min": 0.5, "max": 3}}, "tune.space: train.epochs must be int, received 0.5 (float)."),
        (
            {"train.warmup": {"mn": 0}},
            "tune.space: train.warmup has an unknown field 'mn'. Known: min, max, log, step. Did",
        ),
        ({"train.warmup": {"min": 0.0}}, "tune.space: train.warmup needs max: a number, received None."),
        (
            {"train.warmup": {"min": 0.2, "max": 0.1}},
            "tune.space: train.warmup must have min < max, min > 0 with log, and",
        ),
        (
            {"train.warmup": {"min": 0.0, "max": 0.1, "log": True}},
            "tune.space: train.warmup must have min < max, min > 0",
        ),
        (
            {"train.warmup": {"min": 0.0, "max": 0.1, "step": 0.5}},
            "tune.space: train.warmup must have min < max, min > 0",
        ),
        (
            {"train.warmup": {"min": 0.1, "max": 0.2, "log": 1}},
            "tune.space: train.warmup: log must be true or false, and",
        ),
        (
            {"train.warmup": {"min": 0.1, "max": 0.2, "log": True, "step": 0.1}},
            "tune.space: train.warmup: log must be true or false, and excludes step; received ",
        ),
        ({"train.warmup": {"min": 0.1, "max": 0.2, "step": "x"}}, "tune.space: train.warmup needs step: a number, "),
        ({"augment.ops": {"min": 1, "max": 2}}, "tune.space: augment.ops must be str, received 1 (int)."),
    ],
)
def test_a_space_that_is_none(given, text):
    with pytest.raises(InputError) as error:
        space.parse(given)
    assert str(error.value).startswith(text)


def test_one_setting_decides_how_long_a_trial_trains():
    dimensions = space.parse({"train.epochs": [1, 2]})
    space.check_epochs(dimensions, "random", None)
    with pytest.raises(
        InputError, match="train.epochs cannot be searched while tune.epochs or algorithm hyperband sets it"
    ):
        space.check_epochs(dimensions, "hyperband", None)
    with pytest.raises(InputError, match="Leave one of the two out"):
        space.check_epochs(dimensions, "random", 3)
