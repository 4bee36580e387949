"""Files that are damaged on purpose: a real one is read, changed in one place and written again."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import by_heart
from tfmap import export, flatbuffer
from tfmap.export import metadata

_CONVERTED = {}


@pytest.fixture(autouse=True)
def one_conversion_of_a_model(monkeypatch):
    """verify converts a model to float32 each time; here the same few models are asked for again and again."""
    convert = export.tflite

    def once(model, **settings):
        key = (id(model), *sorted(settings.items()))
        if settings.get("format") != "float32":
            return convert(model, **settings)
        if key not in _CONVERTED:
            _CONVERTED[key] = model, convert(model, **settings)  # the model too, so that its id stays its own
        return _CONVERTED[key][1]

    monkeypatch.setattr(export, "tflite", once)


@pytest.fixture(scope="session")
def edited(trash_classes):
    """function (file, change) -> the file after `change` was called with its parsed flatbuffer."""

    def edit(file, change, labels=trash_classes):
        parsed = flatbuffer._parse(file)
        change(parsed)
        return metadata.attach(flatbuffer._packed(parsed, len(file)), metadata.Metadata(labels=labels, name="tiny"))

    return edit


@pytest.fixture(scope="session")
def kernel_of():
    """function (parsed model, n, op) -> the bytes, int8 and writable, of the kernel of the n-th of these ops."""

    def kernel(parsed, n=0, op="CONV_2D"):
        graph = parsed.subgraphs[0]
        names = [flatbuffer._op_name(code) for code in parsed.operatorCodes]
        chosen = [one for one in graph.operators if names[one.opcodeIndex] == op][n]
        tensor = graph.tensors[chosen.inputs[1]]
        buffer = parsed.buffers[tensor.buffer]
        buffer.data = np.array(buffer.data)
        return buffer.data.view(np.int8).reshape(tensor.shape)

    return kernel


@pytest.fixture(scope="session")
def stranger(photos):
    """Another training of the same architecture: other weights, the same answers."""
    import keras

    keras.utils.set_random_seed(7)
    layers = keras.layers
    inputs = keras.Input((48, 48, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    for width in (16, 32):
        x = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.8)(x))
        x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.8)(layers.DepthwiseConv2D(3, padding="same")(x)))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(6, activation="softmax", name="probabilities")(x), name="tiny")
    return by_heart(model, photos, 0.02)
