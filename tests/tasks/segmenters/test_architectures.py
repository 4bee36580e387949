"""Every segmenter: as large as the picture, saved and loaded, and better after a few steps."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest

import tfmap
from tfmap import export, flatbuffer
from tfmap.errors import InputError
from tfmap.tasks import segmentation as task
from tfmap.tasks.segmenters import fcn, segnet
from tfmap.verify import integers


def body(size=(64, 96)):
    """As small as a backbone can be."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((*size, 3), name="image")
    x, maps = layers.Rescaling(1 / 127.5, offset=-1, name="normalisation")(image), {}
    for level in range(1, 6):
        x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
        maps[f"P{level}"] = x
    return keras.Model(image, {name: maps[name] for name in ("P2", "P3", "P4", "P5")}, name="tiny")


def head(arch, **options):
    return importlib.import_module(f"tfmap.tasks.segmenters.{arch}").head(body(**options), 2, width=8)


@pytest.fixture(scope="module")
def pictures():
    """Dark ovals on a light ground, and where they are."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :96]
    masks = np.stack([(np.hypot(y - a, x - b) < 16) for a, b in rng.uniform((16, 16), (48, 80), (4, 2))])
    images = np.where(masks[..., None], 60, 190) + rng.normal(0, 8, (4, 64, 96, 3))
    return images.astype("float32"), masks.astype("int32")


@pytest.mark.parametrize("arch", task.ARCHITECTURES)
def test_it_learns_is_saved_and_loaded(arch, pictures, tmp_path):
    images, masks = pictures
    net = head(arch)
    assert net.output_shape == (None, 64, 96, 2)
    loss = task.losses("dice")
    trained = keras.Model(net.input, net.output)
    optimizer = keras.optimizers.Adam(1e-2)
    optimizer.build(net.trainable_variables)  # a first step that makes variables is traced twice
    trained.compile(optimizer, loss=lambda truth, said: keras.ops.mean(loss(truth, said)))
    first, *_, last = trained.fit(images, masks, epochs=20, verbose=0).history["loss"]
    assert last < 0.6 * first
    said = np.asarray(net(images))
    np.testing.assert_allclose(said.sum(-1), 1, atol=1e-5)
    net.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras", compile=False)
    np.testing.assert_allclose(again(images), said, atol=1e-5)


@pytest.mark.parametrize("arch", task.ARCHITECTURES)
def test_its_int8_file_holds_integers_only(arch):
    split = tfmap.load("sample:membrane").split("train")
    file = export.tflite(
        head(arch), split=split, classes=("cell", "membrane"), task="segmentation", samples=2, coverage=0
    )
    assert integers.findings(flatbuffer.read(file)) == []


@pytest.mark.parametrize("arch", sorted(set(task.ARCHITECTURES) - {"segnet"}))
def test_any_size_will_do(arch):
    assert head(arch, size=(50, 77)).output_shape == (None, 50, 77, 2)


def test_segnet_needs_maps_that_halve():
    with pytest.raises(
        InputError, match="segnet needs maps that halve; P4 has 4 x 5 places, the one above 2 x 3. Make"
    ):
        head("segnet", size=(50, 77))


def test_numbers_go_where_the_maxima_are():
    large = np.array([[1, 5, 0, 2], [3, 2, 9, 4]], "float32").reshape(1, 2, 4, 1)
    small = np.array([[7, 8]], "float32").reshape(1, 1, 2, 1)
    found = np.asarray(segnet.Unpooling()([small, large]))[0, ..., 0]
    np.testing.assert_array_equal(found, [[0, 7, 0, 0], [0, 0, 8, 0]])


def test_a_level_that_is_not_there_is_told():
    few = body()
    few = keras.Model(few.input, {name: few.output[name] for name in ("P2", "P3")}, name="few")
    with pytest.raises(InputError, match="this segmenter reads P5; few has P2, P3. Take another backbone"):
        fcn.head(few, 2)
