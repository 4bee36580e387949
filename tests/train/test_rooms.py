"""The rooms behind `fit`, one by one."""

from __future__ import annotations

import io
import math

import keras
import numpy as np
import pytest
from rich.console import Console

from tfmap.errors import InputError
from tfmap.runs import Run
from tfmap.source import Skipped, Source
from tfmap.train import callbacks, checkpoint, optimizers, phases, records, settings, trainer
from tfmap.train.checkpoint import State
from tfmap.train.ema import MovingAverage


def constant_rate(rate):
    return keras.optimizers.schedules.ExponentialDecay(rate, 1000, 1.0)


def make(name="sgd", **settings):
    defaults = {"factors": {}, "weight_decay": 0.0, "clip_norm": None, "accumulate": 1}
    return optimizers.build(name, schedule=constant_rate(0.1), **{**defaults, **settings})


def step(optimizer, variables, gradient=0.0):
    optimizer.build(variables)
    optimizer.apply([keras.ops.full(v.shape, gradient) for v in variables])


def test_weight_decay_shrinks_kernels_alone():
    kernel, bias = keras.Variable(np.ones((2, 2))), keras.Variable(np.ones(2))
    step(make(weight_decay=0.5), [kernel, bias])
    np.testing.assert_allclose(kernel, 1 - 0.1 * 0.5)
    np.testing.assert_allclose(bias, 1)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_factor_scales_the_step_and_the_decay(name):
    near, far = keras.Variable(np.ones((2, 2)), name="near"), keras.Variable(np.ones((2, 2)), name="far")
    step(make(name, factors={far.path: 0.25}, weight_decay=0.5), [near, far], gradient=1.0)
    moved = [1 - float(keras.ops.convert_to_numpy(v)[0, 0]) for v in (near, far)]
    assert moved[1] == pytest.approx(moved[0] / 4, rel=0.02)


def test_adamw_without_decay_is_adam():
    ours, theirs = keras.Variable(np.ones((2, 2))), keras.Variable(np.ones((2, 2)))
    one, other = make("adamw"), keras.optimizers.Adam(constant_rate(0.1))
    for gradient in (1.0, -0.5, 2.0):
        step(one, [ours], gradient) if not one.built else one.apply([keras.ops.full((2, 2), gradient)])
        step(other, [theirs], gradient) if not other.built else other.apply([keras.ops.full((2, 2), gradient)])
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_adamw_decays_as_keras_adamw_does():
    ours, theirs = keras.Variable(np.ones((2, 2))), keras.Variable(np.ones((2, 2)))
    step(make("adamw", weight_decay=0.3), [ours], 1.0)
    step(keras.optimizers.AdamW(constant_rate(0.1), weight_decay=0.3), [theirs], 1.0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_unknown_optimizer():
    with pytest.raises(InputError, match="train.optimizer must be adamw or sgd, received 'lion'"):
        make("lion")


def test_the_schedule_rises_then_falls_along_a_cosine():
    rate = optimizers.warmup_cosine(0.5, steps=100, warmup=0.1)
    values = [float(rate(step)) for step in range(101)]
    np.testing.assert_allclose(values[:11], np.linspace(0, 0.5, 11), atol=1e-6)
    np.testing.assert_allclose(values[55], 0.25, atol=1e-3)
    assert values[100] == pytest.approx(0, abs=1e-6)
    assert float(optimizers.warmup_cosine(0.5, steps=10, warmup=0.0)(0)) == pytest.approx(0.5)


def test_the_plan_leaves_out_empty_phases():
    settings = {"unfreeze": True, "learning_rate": 1e-3, "head_learning_rate": 1e-2}
    two = phases.plan(epochs=5, head_epochs=2, **settings)
    assert [(p.name, p.first, p.end) for p in two] == [("head", 0, 2), ("all", 2, 7)]
    assert [p.name for p in phases.plan(epochs=5, head_epochs=0, **settings)] == ["all"]


def test_momentum_is_lent_and_given_back(net):
    norm = net.get_layer("stem_bn")
    with phases.momentum(net, 0.5):
        assert norm.momentum == 0.5
    with phases.momentum(net, None):
        assert norm.momentum == 0.8
    assert norm.momentum == 0.8


def test_rates_fall_towards_the_stem(net):
    factors = phases.layer_factors(net, 0.5)
    head, stem = factors[net.get_layer("logits").kernel.path], factors[net.get_layer("stem").kernel.path]
    assert head == 1
    assert stem < factors[net.get_layer("body").kernel.path] < head
    assert phases.layer_factors(net, 1.0) == {}


def test_the_average_follows_and_comes_back(net):
    average = MovingAverage(net, 0.5)
    start = net.get_weights()
    net.set_weights([value + 1 for value in start])
    average.on_train_batch_end(0)  # (1 + 0) / (10 + 0) = 0.1 of the old
    live = net.get_weights()
    average.on_test_begin()
    np.testing.assert_allclose(net.get_weights()[0], start[0] + 0.9, rtol=1e-5)
    average.on_test_end()
    np.testing.assert_array_equal(net.get_weights()[0], live[0])
    other = MovingAverage(net, 0.5)
    other.restore(average.state())
    other.finish()
    np.testing.assert_allclose(net.get_weights()[0], start[0] + 0.9, rtol=1e-5)


def test_mixed_precision_computes_in_half_and_keeps_the_head(net):
    twin = trainer.in_precision(net, "mixed_bfloat16")
    assert twin.get_layer("body").compute_dtype == "bfloat16"
    assert twin.get_layer("probabilities").compute_dtype == "float32"
    image = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)).astype("float32")
    np.testing.assert_allclose(twin(image), net(image), atol=0.02)
    assert trainer.in_precision(net, "float32") is net


def test_a_state_survives_the_disk(tmp_path):
    arrays = {"net": [np.arange(3), np.ones((2, 2))], "best": [np.zeros(1)]}
    state = State("all", 3, 7, best=0.5, best_epoch=2, history=[{"epoch": 1}], recipe={"a": [1]}, arrays=arrays)
    state.save(tmp_path / "last.npz")
    again = State.load(tmp_path / "last.npz")
    assert (again.phase, again.epoch, again.step, again.best, again.recipe) == ("all", 3, 7, 0.5, {"a": [1]})
    np.testing.assert_array_equal(again.arrays["net"][1], np.ones((2, 2)))


def test_a_fresh_state_is_json(tmp_path):
    State().save(tmp_path / "last.npz")
    assert State.load(tmp_path / "last.npz").best == -math.inf


def test_resume_never_starts_over(tmp_path):
    run = Run(tmp_path)
    State(finished=True).save(run.file("checkpoints") / "last.npz")
    assert checkpoint.start(run, {"resume": "never"}).epoch == 0
    assert checkpoint.start(None, {"resume": "auto"}).epoch == 0


@pytest.mark.parametrize(("seconds", "text"), [(12, "12 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")])
def test_durations_read_well(seconds, text):
    assert callbacks.duration(seconds) == text


def test_progress_says_what_is_left():
    page = io.StringIO()
    console = Console(file=page, force_terminal=True, width=200, highlight=False)
    progress = callbacks.Progress(State(epoch=1), "all", total=4, steps=10, console=console)
    progress.on_epoch_begin(1)
    progress.on_train_batch_end(4, {"loss": 1.5})
    progress.on_epoch_end(1, {"loss": 1.25, "val_accuracy": 0.5})
    assert "batch 5/10" in page.getvalue()
    assert "val_accuracy 0.5000" in page.getvalue()
    assert "left" in page.getvalue()


def test_records_describe_the_data(source, tmp_path):
    run = Run(tmp_path)
    told = Source(
        source.id, source.classes, source.splits, skipped=(Skipped("x.jpg", "truncated"),), findings={"a": ("b",)}
    )
    records.write(run, {"task": "classification", "seed": 1}, told)
    data = run.read_json("data.json")
    assert data["splits"]["train"] == dict.fromkeys("abcdef", 6)
    assert data["findings"] == {"a": ["b"]}
    assert run.read_rows("skipped.csv") == [{"path": "x.jpg", "reason": "truncated"}]
    assert run.file("config.yaml").read_text().startswith("task: classification")


def test_records_count_several_labels(source):
    split = source.split("val")
    rows = np.eye(6, dtype="float32")[split.labels]
    several = type(split)(split.kind, split.images, np.maximum(rows, np.roll(rows, 1, 1)), split.ids, split.odd)
    assert records.counts(several, source.classes) == dict.fromkeys("abcdef", 4)


def test_a_sequential_model_fits_before_it_is_called(source):
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten()]
    settings.check_fits(keras.Sequential([*layers, keras.layers.Dense(6)]), source, "classification")
    with pytest.raises(InputError, match="the model has 2 outputs but photos has 6 classes"):
        settings.check_fits(keras.Sequential([*layers, keras.layers.Dense(2)]), source, "classification")
