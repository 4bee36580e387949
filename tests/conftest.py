"""What every test may use: real photographs, and a quiet TensorFlow."""

from __future__ import annotations

import gc
import os
import random
import sys
from functools import cache
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# What is compiled here runs a few times: it costs more to optimise than it saves.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import numpy as np
import pytest
from PIL import Image

TRASH = Path(__file__).parents[1] / "tfmap" / "datasets" / "samples" / "trash"


def spare_the_collector():
    """Spare it what is there: the half million objects that TensorFlow's import leaves are a tenth of all time, else.

    TensorFlow's converter calls the collector each time, and walks through whatever earlier tests have left.
    """
    gc.collect()
    gc.freeze()


# Once: asking how many are spared counts them one by one, a tenth of a second for every test.
spare_the_import = cache(spare_the_collector)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Every test draws the same numbers, whichever ran before it: Keras takes its seeds from Python's generator."""
    random.seed(0)
    np.random.seed(0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    done = yield
    if "tensorflow" in sys.modules:
        spare_the_import()
        if nextitem is None or nextitem.path != item.path:
            spare_the_collector()
    return done


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Tests neither read nor fill the user's cache."""
    os.environ["TFMAP_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def photo():
    """uint8 (h, w, 3): one real photograph."""
    return np.asarray(Image.open(sorted((TRASH / "glass").glob("*.jpg"))[0]).convert("RGB"))


@pytest.fixture(scope="session")
def photos():
    """uint8 (48, 48, 48, 3) and int32 (48,): eight real photographs of each of six classes."""
    folders = sorted(path for path in TRASH.iterdir() if path.is_dir())
    files = [(file, k) for k, folder in enumerate(folders) for file in sorted(folder.glob("*.jpg"))[:8]]
    images = np.stack([np.asarray(Image.open(file).convert("RGB").resize((48, 48))) for file, _ in files])
    return images, np.array([k for _, k in files], "int32")


@pytest.fixture(scope="session")
def trash_split(photos):
    """The photographs as a Split of pixels."""
    from tfmap.source import Split

    images, labels = photos
    ids = np.array([f"photo {i}" for i in range(len(labels))], dtype=object)
    return Split("pixels", images, labels, ids, np.zeros(len(labels), bool))


@pytest.fixture(scope="session")
def trash_classes():
    """Names of the six classes, in the order of labels."""
    return tuple(sorted(path.name for path in TRASH.iterdir() if path.is_dir()))


def by_heart(model, photos, rate):
    """The model, which has learned the photographs by heart."""
    import keras

    images, labels = photos
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)  # a first step that makes variables is traced twice
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(images.astype("float32"), labels, batch_size=16, epochs=40, verbose=0)
    return model


@pytest.fixture(scope="session")
def classifier(photos):
    """A small Keras model, 48 px and six classes, that has learned the photographs by heart."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input((48, 48, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    for width in (16, 32):
        x = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.8)(x))
        x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.8)(layers.DepthwiseConv2D(3, padding="same")(x)))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(6, activation="softmax", name="probabilities")(x), name="tiny")
    return by_heart(model, photos, 0.02)


@pytest.fixture(scope="session")
def lite_files(classifier, photos, trash_classes):
    """Format -> bytes of the classifier as a .tflite file with metadata."""
    from tfmap.export import convert, metadata

    about = metadata.Metadata(labels=trash_classes, name="tiny", license="Apache-2.0")
    files = {name: getattr(convert, name)(classifier) for name in ("float32", "float16", "dynamic")}
    files["int8"] = convert.int8(classifier, photos[0])
    return {name: metadata.attach(file, about) for name, file in files.items()}
