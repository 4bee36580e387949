import pytest

from tfmap.compress.recipe import Step, parse
from tfmap.errors import InputError


def test_steps_in_order_with_their_arguments():
    assert parse("prune") == (Step("prune", {}),)
    assert parse(" prune(0.5, keep=['conv1']) | qat(2, learning_rate=3e-4) ") == (
        Step("prune", {"sparsity": 0.5, "keep": ["conv1"]}),
        Step("qat", {"epochs": 2, "learning_rate": 3e-4}),
    )
    assert parse("prune({'*': 0.5, 'top*': 0.8})")[0].arguments == {"sparsity": {"*": 0.5, "top*": 0.8}}
    assert parse("prune(0.5, scope='global', block=(1, 4))")[0].arguments == {
        "sparsity": 0.5, "scope": "global", "block": (1, 4),
    }  # fmt: skip
    assert parse("channels(0.5, 'l1')|prune('2:4')") == (
        Step("channels", {"macs": 0.5, "score": "l1"}),
        Step("prune", {"sparsity": "2:4"}),
    )
    steps = parse("low_rank(size=0.5)|distill(4)|prune(0.5)|cluster(16)|qat")
    assert [step.name for step in steps] == ["low_rank", "distill", "prune", "cluster", "qat"]


WRONG = {
    "": "it is empty.*Known steps: .*prune, cluster, low_bits, qat",
    "prun(0.5)": "unknown step 'prun'.*Did you mean 'prune'",
    "prune|prune": "a step stands twice",
    "qat|prune": "qat must be the last step",
    "cluster|prune": r"a step would undo one before it.*Expected the order prune\|cluster",
    "cluster(16.5)": "cluster has clusters=16.5.*Expected int",
    "distill(features=[1])": "distill has features=.*Expected dict",
    "prune(0.5, rate=3)": "arguments that it does not know.*prune takes: sparsity, schedule",
    "qat(1, 2, 3)": "arguments that it does not know",
    "prune(0.5, sparsity=0.6)": "sets an argument twice",
    "prune(0.5": "cannot read",
    "prune(open('x'))": "cannot read",
    "prune|": "cannot read ''",
    "1 + 1": "cannot read",
    "prune([0.5])": r"prune has sparsity=\[0.5\].*Expected int or float or str or dict",
    "prune(True)": "prune has sparsity=True",
    "prune(0.5, epochs='3')": "prune has epochs='3'.*Expected int",
    "prune(0.5, keep='conv1')": "prune has keep='conv1'.*Expected list or tuple",
    "qat(learning_rate=None)": "qat has learning_rate=None.*Expected int or float",
    "channels('half')": "channels has macs='half'.*Expected int or float",
    "channels(0.5, multiple=4.0)": "channels has multiple=4.0.*Expected int",
    "channels(0.5, score=1)": "channels has score=1.*Expected str",
    "prune(0.5, block=4)": "prune has block=4.*Expected list or tuple",
    "prune(0.5, scope=1)": "prune has scope=1.*Expected str",
    "low_bits(4.0)": "low_bits has bits=4.0.*Expected int",
    "low_bits|qat": "low_bits and qat exclude each other.*format int4",
    "cluster|low_bits": "cluster and low_bits exclude each other.*15 values by itself",
    "low_bits|prune": r"a step would undo one before it.*Expected the order prune\|low_bits",
    "prune|channels": r"a step would undo one before it.*Expected the order channels\|prune",
}


@pytest.mark.parametrize("recipe", WRONG)
def test_what_cannot_be_read(recipe):
    with pytest.raises(InputError, match=WRONG[recipe]) as caught:
        parse(recipe)
    assert "compress.recipe" in str(caught.value)
