import numpy as np
import pytest

from tfmap.compress import flow
from tfmap.compress.finetune import FineTuning
from tfmap.compress.recipe import STEPS, parse


class Model:
    """Built under no strategy."""

    distribute_strategy = None

    def __str__(self):
        return ""


@pytest.fixture
def shares():
    """Of the teacher, at each step."""
    return []


@pytest.fixture
def told(monkeypatch, shares):
    """Steps that only tell how they were called."""
    calls = []

    def step(name):
        def function(model, feed, *, how, **rest):
            calls.append((name, how.epochs, how.learning_rate, rest))
            shares.append(how.teacher_weight)
            return f"{model}{name}|"

        return function

    monkeypatch.setattr(flow, "_STEPS", {name: step(name) for name in STEPS})
    return calls


def test_every_step_of_the_language_can_run():
    assert set(flow._STEPS) == set(STEPS)


def test_each_step_gets_the_model_of_the_one_before_and_its_own_settings(told):
    how = FineTuning(epochs=6, learning_rate=0.01)
    recipe = "low_rank(0.9)|distill(4.0, epochs=3)|prune(0.5, epochs=2, learning_rate=0.1)|cluster(16)|qat(epochs=1)"
    assert flow.run(Model(), None, parse(recipe), how) == "low_rank|distill|prune|cluster|qat|"
    assert told[:4] == [
        ("low_rank", 6, 0.01, {"energy": 0.9}),
        ("distill", 3, 0.01, {"temperature": 4.0}),
        ("prune", 2, 0.1, {"sparsity": 0.5}),
        ("cluster", 6, 0.01, {"clusters": 16}),
    ]


def test_qat_takes_a_fiftieth_of_the_rate_unless_it_is_told_its_own(told):
    how = FineTuning(learning_rate=0.01)
    flow.run(Model(), None, parse("qat"), how)
    flow.run(Model(), None, parse("qat(2, 0.02)"), how)
    np.testing.assert_allclose([call[2] for call in told], [0.0002, 0.02])


def test_qat_alone_learns_what_the_teacher_says_and_labels_where_it_is_not_asked(told, shares):
    flow.run(Model(), None, parse("qat"), FineTuning(teacher_weight=0.3))
    flow.run(Model(), None, parse("prune(0.5)|qat"), FineTuning(teacher_weight=0.3))
    flow.run(Model(), None, parse("qat"), FineTuning(teacher_weight=0.0))
    assert shares == [1.0, 0.3, 0.3, 0.0]
