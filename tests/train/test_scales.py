"""Pictures of several sizes: one network's weights, whatever the size, and what cannot be of another size is told."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tfmap
from tests.tasks.detectors.test_tfmap_det import body
from tests.train.conftest import new_net
from tests.train.test_train import StopAt, same
from tfmap import tasks
from tfmap.errors import InputError
from tfmap.models.levels import marked
from tfmap.tasks.detectors import faster_rcnn, mask_rcnn, retinanet, ssd, tfmap_det, yolo
from tfmap.tasks.segmenters import deeplab_v3plus, fcn, segnet, tfmap_seg, unet
from tfmap.train import norms, scales

LARGER = (96, 128)
DETECTORS, SEGMENTERS = (tfmap_det, yolo, retinanet, ssd), (tfmap_seg, unet, fcn, segnet, deeplab_v3plus)
NETS = {
    **{f"detection {module.__name__.split('.')[-1]}": partial(module.head, width=8) for module in DETECTORS},
    **{f"segmentation {module.__name__.split('.')[-1]}": partial(module.head, width=8) for module in SEGMENTERS},
    "detection faster_rcnn": partial(faster_rcnn.head, width=8, proposals=20),
    "instances mask_rcnn": partial(mask_rcnn.head, width=8, proposals=20),
}


@pytest.mark.parametrize(
    ("own", "share", "expected"),
    [
        ((320, 320), 0.25, [(256, 256), (288, 288), (320, 320), (352, 352), (384, 384)]),
        ((192, 256), 0.2, [(160, 224), (192, 256), (224, 288)]),
        ((300, 300), 0.15, [(256, 256), (300, 300), (320, 320)]),
        ((320, 320), 0.0, [(320, 320)]),
    ],
)
def test_sizes_are_steps_around_the_models_own(own, share, expected):
    assert scales.sizes(own, share) == expected


def test_a_share_of_less_than_a_step_is_told():
    with pytest.raises(
        InputError, match=r"train.multi_scale=0.2 of 96 pixels is less than a step of 32. Expected at le"
    ):
        scales.sizes((96, 96), 0.2)


def test_each_size_has_its_epochs_and_a_seed_its_series():
    found = scales.sizes((320, 320), 0.25)
    series = [scales.of_epoch(found, 3, epoch) for epoch in range(60)]
    assert all(set(series[turn : turn + 5]) == set(found) for turn in range(0, 60, 5))
    assert series == [scales.of_epoch(found, 3, epoch) for epoch in range(60)]
    assert series != [scales.of_epoch(found, 4, epoch) for epoch in range(60)]


FAST = ("detection tfmap_det", "segmentation tfmap_seg", "instances mask_rcnn")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in NETS])
def test_a_twin_is_the_network_at_another_size(name):
    keras.utils.set_random_seed(0)
    net = NETS[name](marked(body(name="normalisation")), 3)
    losses = partial(_losses, name.split()[0])
    twin = scales.Twin(net, LARGER, losses)
    image = np.random.default_rng(0).integers(0, 256, (2, *LARGER, 3)).astype("float32")
    alone = scales.rebuilt(net, LARGER)
    alone.set_weights(net.get_weights())
    said, expected = twin(image, training=False), alone(image, training=False)
    for key, value in expected.items() if isinstance(expected, dict) else [("", expected)]:
        np.testing.assert_allclose(said[key] if key else said, value, rtol=1e-4, atol=1e-4)
    assert net.input_shape[1:3] != LARGER


def _losses(task, model):
    module = tasks.get(task)
    return module.losses(**tasks.accepted(module.losses, model=model))


def test_gradients_and_statistics_are_those_of_the_network():
    keras.utils.set_random_seed(0)
    image = keras.Input((64, 96, 3))
    x = layers.BatchNormalization(name="norm", momentum=0.5)(layers.Conv2D(4, 3, use_bias=False)(image))
    net = keras.Model(image, layers.Softmax()(layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.ReLU()(x)))))
    alone = scales.rebuilt(net, LARGER)
    alone.set_weights(net.get_weights())
    twin = scales.Twin(net, LARGER, lambda model: None)
    pictures = np.random.default_rng(0).normal(3.0, size=(4, *LARGER, 3)).astype("float32")
    found = []
    for said, variables in ((twin, net.trainable_variables), (alone, alone.trainable_variables)):
        with norms.fused(alone), tf.GradientTape() as tape:
            loss = keras.ops.mean(said(pictures, training=True)[:, 0])
        found.append(tape.gradient(loss, variables))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-8)
    for name in ("moving_mean", "moving_variance"):
        ours, theirs = (getattr(model.get_layer("norm"), name).numpy() for model in (net, alone))
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)
        assert np.abs(ours - (name == "moving_variance")).max() > 0.01


def test_a_layer_of_a_fixed_size_is_told():
    image = keras.Input((64, 96, 3))
    flat = keras.Model(image, layers.Dense(3, name="last")(layers.Flatten()(image)), name="flat")
    with pytest.raises(
        InputError, match="multi_scale: flat cannot be built for pictures of 96 x 128: the weights of la"
    ):
        scales.rebuilt(flat, LARGER)
    cut = keras.Model(image, layers.Reshape((64 * 96, 3))(image), name="cut")
    with pytest.raises(
        InputError, match="multi_scale: cut cannot be built for pictures of 96 x 128: .*Leave it out, or"
    ):
        scales.rebuilt(cut, LARGER)


def larger_net():
    """The network of the other tests for pictures that may be smaller by half, the same at every call."""
    net = new_net()
    larger = scales.rebuilt(net, (64, 64))
    larger.set_weights(net.get_weights())
    return larger


SEVERAL = {"pipeline": {"batch_size": 12}, "learning_rate": 0.02, "verbose": False, "augment": "flip|mixup(.2)"}
SEVERAL |= {"epochs": 4, "unmixed_epochs": 1, "multi_scale": 0.5}


def test_it_learns_at_several_sizes(source):
    net, seen = larger_net(), []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(list(watch.model._traced)[-1])
    )
    tfmap.fit(net, source, callbacks=[watch], **SEVERAL)
    assert [size for _, size in seen[:3]] == [scales.of_epoch([(32, 32), (64, 64), (96, 96)], 0, k) for k in range(3)]
    assert [size for _, size in seen[3:]] == [(64, 64)]
    val = source.split("val")
    said = net.predict(tf.image.resize(val.images, (64, 64)), verbose=0).argmax(axis=1)
    assert (said == val.labels).mean() > 0.5


@pytest.mark.slow
def test_at_several_sizes_it_goes_on_where_it_was_stopped(source, tmp_path):
    one, other = larger_net(), larger_net()
    tfmap.fit(one, source, **SEVERAL)
    with pytest.raises(KeyboardInterrupt):
        tfmap.fit(other, source, out=tmp_path, callbacks=[StopAt(4)], **SEVERAL)
    tfmap.fit(other, source, out=tmp_path, **SEVERAL)
    same(one, other, tolerance=1e-6)


@pytest.mark.slow
def test_a_detector_learns_at_several_sizes(tmp_path):
    keras.utils.set_random_seed(0)
    net = tfmap_det.head(marked(body()), 3, width=8, depth=1)
    whole = tfmap.load("sample:cells")
    source = replace(whole, splits={name: whole.split(name).take(np.arange(8)) for name in ("train", "val")})
    options = {"task": "detection", "augment": "flip|mosaic(.5)", "pipeline": {"batch_size": 4}, "verbose": False}
    tfmap.fit(net, source, out=tmp_path, epochs=6, unmixed_epochs=2, multi_scale=0.5, learning_rate=3e-3, **options)
    with (tmp_path / "history.csv").open() as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert {scales.of_epoch(scales.sizes((64, 96), 0.5), 0, epoch) for epoch in range(4)} > {(64, 96)}


MIRRORED = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np
import tfmap
from tfmap import runtime
source = tfmap.load("sample:cells", seed=0)
small = {name: split.take(np.arange(8)) for name, split in source.splits.items()}
source = type(source)(source.id, source.classes, small, target=source.target)
with runtime.strategy(["CPU:0", "CPU:1"]).scope():
    model = tfmap.build_detector(backbone="mobilenet_v1_025", classes=3, input_shape=(64, 64, 3), weights=None, width=8)
norm = next(one for one in model.layers[::-1] if type(one).__name__ == "BatchNormalization")
before = norm.moving_variance.numpy().copy()
tfmap.fit(model, source, task="detection", epochs=3, multi_scale=0.5, verbose=False, pipeline={"batch_size": 4},
          learning_rate=0.001)
assert all(np.isfinite(value).all() for value in model.get_weights())
assert (norm.moving_variance.numpy() != before).any()
"""


@pytest.mark.slow
def test_several_sizes_on_two_devices():
    """Mirrored over two logical CPU devices: a process of its own, devices are fixed once TF runs."""
    done = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
