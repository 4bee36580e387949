from __future__ import annotations

import pytest

from tfmap.compare import arms
from tfmap.errors import InputError


def test_values_are_checked_as_their_key():
    assert arms.check("augment.ops", ["", "flip"]) == ["", "flip"]
    assert arms.check("train.unfreeze", [True, "P4"]) == [True, "P4"]
    assert arms.check("model.input_shape", [[96, 96, 3], [128, 128, 3]]) == [(96, 96, 3), (128, 128, 3)]


@pytest.mark.parametrize(
    ("key", "values", "text"),
    [
        ("datasets.seed", [0, 1], r"compare.key: 'datasets.seed' cannot be compared; expected a key of pipeline, "),
        ("seed", [0, 1], r"compare.key: 'seed' cannot be compared"),
        ("augment.op", ["", "flip"], r"compare.key: unknown key 'augment.op'.*Did you mean 'ops'\?"),
        ("train.epochs", [3, "x"], r"compare.values: train.epochs must be int, received 'x' \(str\)"),
        ("train.epochs", [3], r"compare: expected two or more different values of train.epochs, received 3\. Give it "),
        ("train.epochs", [3, 3], r"expected two or more different values of train.epochs, received 3, 3\."),
        ("train.epochs", [], r"expected two or more different values of train.epochs, received none\."),
    ],
)
def test_what_cannot_be_compared_is_refused(key, values, text):
    with pytest.raises(InputError, match=text):
        arms.check(key, values)


def test_a_config_gets_its_value_and_keeps_the_rest():
    config = {"task": "classification", "augment": {"ops": "flip"}, "train": {"epochs": 2}}
    made = arms.config_of(config, "augment.ops", "hue")
    assert made == {"task": "classification", "augment": {"ops": "hue"}, "train": {"epochs": 2}}
    assert config["augment"]["ops"] == "flip"
    assert arms.config_of({}, "train.ema", 0.9) == {"train": {"ema": 0.9}}


def test_a_folder_is_named_by_what_was_trained():
    names = {arms.folder_of(value, seed) for value in ("", "flip", 1, None) for seed in (0, 1)}
    assert len(names) == 8
    assert arms.folder_of("flip", 1) == arms.folder_of("flip", 1)
