"""The whole loop: it learns, it stops, it goes on, it leaves what it promises."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import keras
import numpy as np
import pytest

import tfmap
from tests.train.conftest import new_net
from tfmap.errors import InputError
from tfmap.runs import Run
from tfmap.source import Source
from tfmap.train.checkpoint import State

QUICK = {"epochs": 3, "pipeline": {"batch_size": 12}, "learning_rate": 0.02, "verbose": False}


def accuracy(model, split):
    return float(np.mean(np.argmax(model.predict(split.images, verbose=0), axis=1) == split.labels))


def same(one, other, tolerance=0.0):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)


def twin(net):
    copy = keras.models.clone_model(net)
    copy.set_weights(net.get_weights())
    return copy


def test_it_learns(net, source):
    tfmap.fit(net, source, **{**QUICK, "epochs": 25}, ema=0.9, augment="flip|brightness(.1)")
    assert accuracy(net, source.split("val")) >= 0.9


def test_the_run_folder_has_a_row_per_epoch_and_both_checkpoints(net, source, tmp_path):
    tfmap.fit(net, source, out=tmp_path, head_epochs=1, tensorboard=True, **QUICK)
    rows = Run(tmp_path).read_rows("history.csv")
    assert [row["phase"] for row in rows] == ["head", "all", "all", "all"]
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert all(float(row["val_loss"]) > 0 and float(row["seconds"]) > 0 for row in rows)
    assert State.load(tmp_path / "checkpoints" / "last.npz").finished
    assert any(path.name.startswith("events") for path in (tmp_path / "tensorboard").rglob("*"))
    best = twin(net)
    best.load_weights(tmp_path / "checkpoints" / "best.weights.h5")
    same(best, net)


def test_the_best_epoch_is_kept(net, source, tmp_path):
    tfmap.fit(net, source, out=tmp_path, **{**QUICK, "epochs": 6, "learning_rate": 0.3})
    rows = Run(tmp_path).read_rows("history.csv")
    best = max(float(row["val_accuracy"]) for row in rows)
    assert accuracy(net, source.split("val")) == pytest.approx(best)


@pytest.mark.parametrize("keep", [pytest.param("best", marks=pytest.mark.slow), "last"])
def test_the_last_epoch_is_kept_where_that_is_asked_for(net, source, keep):
    ends = []
    grab = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append((twin(net), logs)))
    tfmap.fit(net, source, keep=keep, callbacks=[grab], **{**QUICK, "epochs": 6, "learning_rate": 0.3})
    scores = [logs["val_accuracy"] for _, logs in ends]
    assert scores.index(max(scores)) < 5  # or the test would show nothing
    same(ends[5 if keep == "last" else scores.index(max(scores))][0], net)


def test_one_seed_one_result(net, source):
    other = twin(net)
    for model in (net, other):
        tfmap.fit(model, source, seed=5, augment="flip|rotate(10)|mixup(.2)", **QUICK)
    same(net, other)


@pytest.mark.slow
def test_without_mixing_at_the_end(net, source):
    """All epochs unmixed are those of the policy without the mixing op; some of them are neither."""
    never, half, always = twin(net), twin(net), twin(net)
    tfmap.fit(net, source, augment="flip", **QUICK)
    tfmap.fit(never, source, augment="flip|mixup(.2)", unmixed_epochs=QUICK["epochs"], **QUICK)
    tfmap.fit(half, source, augment="flip|mixup(.2)", unmixed_epochs=1, **QUICK)
    tfmap.fit(always, source, augment="flip|mixup(.2)", **QUICK)
    same(net, never)
    for one, other in ((half, never), (half, always)):
        assert any(not np.allclose(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


@pytest.mark.slow
def test_another_seed_another_result(net, source):
    other = twin(net)
    tfmap.fit(net, source, seed=1, **QUICK)
    tfmap.fit(other, source, seed=2, **QUICK)
    assert any(not np.allclose(a, b) for a, b in zip(net.get_weights(), other.get_weights(), strict=True))


class StopAt(keras.callbacks.Callback):
    """Sends this process the signal that Ctrl-C sends, at one batch."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


TO_BE_STOPPED = {**QUICK, "epochs": 2, "head_epochs": 1, "unmixed_epochs": 1, "ema": 0.9, "patience": 2}
TO_BE_STOPPED |= {"augment": "flip|rotate(10)|mixup(.2)"}


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """A network before it learned, the same one afterwards, and the run folder of a training that nobody stopped."""
    net, folder = new_net(), tmp_path_factory.mktemp("whole")
    before = twin(net)
    tfmap.fit(net, source, out=folder, **TO_BE_STOPPED)
    return before, net, Run(folder)


@pytest.mark.parametrize(
    "batches",
    [
        pytest.param(2, marks=pytest.mark.slow),
        pytest.param(3, marks=pytest.mark.slow),
        5,
        pytest.param(7, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_training_goes_on_to_the_same_weights(whole, source, tmp_path, batches):
    """Three batches an epoch: inside the head phase, at its end, inside the second and third (unmixed) epoch."""
    before, trained, run = whole
    stopped = twin(before)
    with pytest.raises(KeyboardInterrupt):
        tfmap.fit(stopped, source, out=tmp_path, callbacks=[StopAt(batches)], **TO_BE_STOPPED)
    fresh = twin(stopped)
    fresh.set_weights([np.zeros_like(value) for value in fresh.get_weights()])
    tfmap.fit(fresh, source, out=tmp_path, **TO_BE_STOPPED)
    same(trained, fresh, tolerance=1e-6)
    assert [row["val_accuracy"] for row in run.read_rows("history.csv")] == [
        row["val_accuracy"] for row in Run(tmp_path).read_rows("history.csv")
    ]


def test_a_stopped_training_gives_the_signal_back(net, source, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        tfmap.fit(net, source, out=tmp_path, callbacks=[StopAt(1)], **QUICK)
    assert signal.getsignal(signal.SIGINT) is before


def test_another_recipe_does_not_go_on(net, source, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        tfmap.fit(net, source, out=tmp_path, callbacks=[StopAt(4)], **QUICK)
    with pytest.raises(InputError, match="holds a training with other settings: learning_rate, warmup"):
        tfmap.fit(net, source, out=tmp_path, **{**QUICK, "learning_rate": 0.5, "warmup": 0.3})
    tfmap.fit(net, source, out=tmp_path, resume="never", **{**QUICK, "learning_rate": 0.05, "epochs": 1})


def test_a_finished_training_is_not_overwritten(net, source, tmp_path):
    tfmap.fit(net, source, out=tmp_path, **{**QUICK, "epochs": 1})
    with pytest.raises(InputError, match="holds a finished training. Choose another out="):
        tfmap.fit(net, source, out=tmp_path, **{**QUICK, "epochs": 1})


def test_a_broken_checkpoint_is_named(net, source, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.npz").write_bytes(b"not a zip file")
    with pytest.raises(InputError, match=r"checkpoint .*last\.npz cannot be read.*train\.resume=never"):
        tfmap.fit(net, source, out=tmp_path, **QUICK)


def test_the_head_phase_leaves_the_body_alone(net, source):
    before = [value.copy() for value in net.get_layer("body").get_weights()]
    head = net.get_layer("logits").get_weights()[0].copy()
    tfmap.fit(net, source, head_epochs=1, unfreeze=False, **{**QUICK, "epochs": 1})
    for one, other in zip(before, net.get_layer("body").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.allclose(head, net.get_layer("logits").get_weights()[0])
    assert all(layer.trainable for layer in net.layers)


def test_unfreezing_from_a_layer_on(net, source):
    stem, body = (net.get_layer(name).get_weights()[0].copy() for name in ("stem", "body"))
    tfmap.fit(net, source, unfreeze="body", **{**QUICK, "epochs": 1})
    np.testing.assert_array_equal(stem, net.get_layer("stem").get_weights()[0])
    assert not np.allclose(body, net.get_layer("body").get_weights()[0])


def test_frozen_batchnorm_keeps_its_statistics(net, source):
    before = [value.copy() for value in net.get_layer("stem_bn").get_weights()]
    tfmap.fit(net, source, batchnorm="frozen", **{**QUICK, "epochs": 1})
    for one, other in zip(before, net.get_layer("stem_bn").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd", "layer_decay": 0.7},
        {"loss": "focal", "class_weights": "balanced", "augment": "mixup(.2)|cutmix(1.)"},
        {"class_weights": [1, 2, 1, 1, 1, 3]},
        {"class_weights": "effective_number", "augment": "mixup(.2)"},
        {"loss": "logit_adjustment", "tau": 1.5, "augment": "mixup(.2)|cutmix(1.)"},
        {"pipeline": {"batch_size": 12, "sampling": "balanced"}, "augment": "mixup(.2)"},
        {"accumulate": 2, "clip_norm": None},
        {"precision": "mixed_bfloat16", "ema": 0.9},
        {"precision": "mixed_float16"},
        {"warmup": 0.0, "weight_decay": 0.0, "label_smoothing": 0.0, "patience": 1},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_every_setting_trains(net, source, settings):
    before = net.get_layer("body").get_weights()[0].copy()
    tfmap.fit(net, source, **{**QUICK, "epochs": 2, **settings})
    assert net.dtype_policy.name == "float32"
    assert all(np.isfinite(value).all() for value in net.get_weights())
    assert not np.allclose(before, net.get_layer("body").get_weights()[0])


def test_accumulated_batches_are_one_large_batch(net, source):
    """Two batches of 18 with a step at the second equal one batch of 36, BatchNorm and dropout aside."""
    plain = {**QUICK, "epochs": 2, "optimizer": "sgd", "warmup": 0.0, "weight_decay": 0.0, "clip_norm": None}
    plain |= {"batchnorm": "frozen", "learning_rate": 0.01}
    net.get_layer("dropout").rate = 0.0
    other = twin(net)
    other.get_layer("dropout").rate = 0.0
    tfmap.fit(net, source, **{**plain, "pipeline": {"batch_size": 18}, "accumulate": 2})
    tfmap.fit(other, source, **{**plain, "pipeline": {"batch_size": 36}})
    change = [np.abs(a - b).max() for a, b in zip(net.get_weights(), other.get_weights(), strict=True)]
    assert max(change) < 2e-3


def test_patience_ends_the_training(net, source, tmp_path):
    tfmap.fit(net, source, out=tmp_path, patience=2, **{**QUICK, "epochs": 30, "learning_rate": 1e-9})
    assert len(Run(tmp_path).read_rows("history.csv")) == 3


def test_a_diverging_training_says_so(net, source):
    net.get_layer("body").set_weights([np.full_like(value, np.nan) for value in net.get_layer("body").get_weights()])
    with pytest.raises(
        InputError, match="training diverged: the loss became nan at batch 1. Lower train.learning_rate"
    ):
        tfmap.fit(net, source, **QUICK)


def test_without_validation_the_last_weights_stay(net, source):
    train_only = Source(source.id, source.classes, {"train": source.split("train")})
    tfmap.fit(net, train_only, **{**QUICK, "epochs": 25})
    assert accuracy(net, source.split("val")) >= 0.9


@pytest.mark.parametrize(
    "settings",
    [{"class_weights": "balanced"}, pytest.param({"loss": "logit_adjustment"}, marks=pytest.mark.slow)],
    ids=["weights", "adjustment"],
)
def test_multi_label_pictures(source, settings):
    model = tfmap.build_classifier("lenet", classes=6, input_shape=(48, 48, 3), weights=None, multi_label=True)
    splits = {}
    for name, split in source.splits.items():
        rows = np.eye(6, dtype="float32")[split.labels]
        splits[name] = type(split)(
            split.kind, split.images, np.maximum(rows, np.roll(rows, 1, 1)), split.ids, split.odd
        )
    several = Source("several", source.classes, splits, multi_label=True)
    tfmap.fit(model, several, **{**QUICK, "epochs": 2}, **settings, augment="mixup(.3)")
    assert np.isfinite(model.predict(source.split("val").images, verbose=0)).all()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"epochs": 0}, "train.epochs must be at least 1, received 0"),
        ({"head_epochs": -1}, "train.head_epochs must be at least 0, received -1"),
        ({"learning_rate": 0}, "train.learning_rate must be above 0, received 0"),
        ({"learning_rate": "2e-3"}, "train.learning_rate must be float, received '2e-3'"),
        ({"layer_decay": 1.5}, r"train.layer_decay must be in \(0, 1\], received 1.5"),
        ({"warmup": 1.0}, r"train.warmup must be in \[0, 1\), received 1.0"),
        ({"ema": 1.0}, r"train.ema must be in \[0, 1\), received 1.0"),
        ({"batchnorm_momentum": 1}, r"train.batchnorm_momentum must be in \[0, 1\), or null, received 1"),
        ({"patience": 0}, "train.patience must be at least 1, or null, received 0"),
        ({"optimizer": "adam"}, r"train.optimizer must be adamw \| sgd, received 'adam'"),
        ({"precision": "float16"}, r"train.precision must be float32 \| mixed_float16 \| mixed_bfloat16"),
        (
            {"class_weights": [1, 2]},
            r"class_weights must be none, balanced, effective_number or 6 numbers above 0, received \[1, 2\]",
        ),
        (
            {"class_weights": "balance"},
            r"must be none \| balanced \| effective_number \| list\[float\], received 'balance'",
        ),
        ({"tau": -1.0}, "train.tau must be at least 0, received -1.0"),
        ({"loss": "logit_adjustment", "class_weights": "balanced"}, "together they overshoot. Choose one"),
        ({"unfreeze": "nowhere"}, "unfreeze|trainable"),
        ({"task": "classify"}, "unknown task 'classify'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_settings_out_of_range(net, source, settings, text):
    with pytest.raises(InputError, match=text):
        tfmap.fit(net, source, **{**QUICK, **settings})


def test_a_model_for_other_classes(source):
    model = tfmap.build_classifier("lenet", classes=3, input_shape=(48, 48, 3), weights=None)
    with pytest.raises(InputError, match="the model has 3 outputs but photos has 6 classes. Build it with classes=6"):
        tfmap.fit(model, source, **QUICK)


def test_a_source_without_train(net, source):
    with pytest.raises(InputError, match="photos has no split 'train'"):
        tfmap.fit(net, Source("photos", source.classes, {"val": source.split("val")}), **QUICK)


SCRIPT = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np
import tfmap
from tfmap import runtime
source = tfmap.load("sample:trash")
small = {name: split.take(np.arange(0, len(split), 16)) for name, split in source.splits.items()}
source = type(source)(source.id, source.classes, small)
strategy = runtime.strategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
with strategy.scope():
    model = tfmap.build_classifier("lenet", classes=6, input_shape=(32, 32, 3), weights=None)
tfmap.fit(model, source, epochs=2, out=sys.argv[1], ema=0.9, augment="flip|rotate(9)|mixup(.2)", verbose=False,
          pipeline={"batch_size": 16}, learning_rate=0.001)
assert all(np.isfinite(value).all() for value in model.get_weights())
model.save(sys.argv[1] + "/model.keras")
"""


def test_two_devices(tmp_path):
    """The same code mirrored over two logical CPU devices: a process of its own, devices are fixed once TF runs."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    with open(tmp_path / "history.csv") as file:
        assert len(list(csv.DictReader(file))) == 2
    assert keras.models.load_model(tmp_path / "model.keras").output_shape == (None, 6)


def test_a_killed_process_goes_on(tmp_path):
    """kill -9 in the middle of a training from the command line; the second start goes on and finishes."""
    out = tmp_path / "run"
    keys = ["datasets.source=sample:trash", "model.backbone=lenet", "model.input_shape=[32,32,3]", "model.weights=null"]
    keys += ["train.epochs=4", "pipeline.batch_size=64", f"out={out}"]
    config = tmp_path / "config.yaml"
    config.write_text("task: classification\n")
    command = [sys.executable, "-m", "tfmap.train", str(config), *keys]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 240
    while not (out / "checkpoints" / "last.npz").exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.kill()
    process.wait()
    reached = State.load(out / "checkpoints" / "last.npz")
    assert 1 <= reached.epoch < 4
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [int(row["epoch"]) for row in Run(out).read_rows("history.csv")] == [1, 2, 3, 4]
    assert f"{reached.epoch}/4" not in done.stderr
    assert (out / "model.keras").exists()


@pytest.mark.parametrize(
    ("target", "text"), [("boxes", r"has boxes; .* Set datasets.target to label\.$"), ("mask", "has masks")]
)
def test_boxes_and_masks_are_no_labels(net, source, target, text):
    with pytest.raises(InputError, match=f"^train: photos {text}"):
        tfmap.fit(net, replace(source, target=target), **QUICK)
