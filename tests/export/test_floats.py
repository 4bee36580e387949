"""Selective float: the layer that rounding hurts is found, kept, and explained; nothing else is."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.export import convert, floats, quantizer
from tfmap.graph import Graph, Op, Tensor
from tfmap.litert import LiteModel

pytestmark = pytest.mark.slow  # minutes of conversion and training on two cores

ENGINES = {"converter": convert.int8, "ai-edge-quantizer": quantizer.int8}


@pytest.fixture(scope="module")
def hurt(photos):
    """A model with one layer, "spread", whose output has a channel that is a thousand times as wide as another."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((48, 48, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="front")(layers.Rescaling(1 / 255)(inputs))
    spread = layers.Conv2D(8, 1, name="spread")
    x = layers.ReLU(name="after")(spread(x))
    x = layers.DepthwiseConv2D(1, name="gather")(x)
    last = layers.Dense(4, activation="sigmoid", name="last")
    model = keras.Model(inputs, last(layers.GlobalAveragePooling2D()(x)))
    kernel, bias = spread.get_weights()
    wide = np.where(np.arange(8) == 0, 1000.0, 1.0).astype("float32")
    spread.set_weights([np.abs(kernel) * wide, bias])
    gather = model.get_layer("gather")
    gather.set_weights([(1 / wide).reshape(1, 1, 8, 1), np.zeros(8, "float32")])
    return model


@pytest.fixture(scope="module")
def reference(hurt):
    return convert.float32(hurt, input_type="float32")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return ENGINES[request.param]


def test_the_worst_layer_is_found(hurt, reference, engine, photos):
    rows = floats.errors(engine(hurt, photos[0]), reference, photos[0][:16])
    assert "spread" in rows[0]["tensor"]
    assert any("gather" in name for name in rows[0]["readers"])
    assert {row["op"] for row in rows} == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
    assert [row["added"] for row in rows] == sorted((row["added"] for row in rows), reverse=True)
    assert all(row["sqnr_db"] > 0 for row in rows)


def test_kept_layers_bring_the_file_closer(hurt, reference, engine, photos):
    plain = engine(hurt, photos[0])
    kept = floats.chosen(2, floats.errors(plain, reference, photos[0]))
    assert ["spread" in kept[0], "gather" in kept[1]] == [True, True]
    better = engine(hurt, photos[0], keep=kept)
    expected = hurt.predict(photos[0].astype("float32"), verbose=0)
    before, after = (np.abs(LiteModel(file).predict(photos[0]) - expected).mean() for file in (plain, better))
    assert after < before / 2


def test_what_is_kept_is_float_and_nothing_else_is(hurt, reference, engine, photos):
    rows = floats.errors(engine(hurt, photos[0][:8]), reference, photos[0])
    kept = floats.chosen(["last"], rows)
    assert len(kept) == 1
    graph = flatbuffer.read(engine(hurt, photos[0], keep=kept))
    assert floats.unexpected(graph, kept) == []
    assert set(floats.unexpected(graph)) > set()
    float_ops = [op.name for op in graph.float_ops() if op.name not in floats.BORDER]
    assert float_ops == ["FULLY_CONNECTED"]
    assert (graph.inputs[0].dtype, graph.outputs[0].dtype) == ("uint8", "uint8")


@pytest.fixture(scope="module")
def rows(hurt, reference, photos):
    return floats.errors(convert.int8(hurt, photos[0][:4]), reference, photos[0])


def test_a_layer_is_named_as_in_keras(rows):
    tensors = [row["tensor"] for row in rows if row["op"] == "DEPTHWISE_CONV_2D"]
    assert floats.chosen(["gather"], rows) == (*tensors,)
    assert len(floats.chosen(["gather", "last", "gather"], rows)) == 2


def test_a_layer_that_there_is_not(rows):
    with pytest.raises(
        InputError, match=r"^export.keep_float: no layer with a kernel is named 'lost' in the file. Words "
    ):
        floats.chosen(["lost"], rows)
    with pytest.raises(InputError, match=r"Did you mean 'gather'\?$"):
        floats.chosen(["gahter"], rows)


def test_more_layers_than_there_are(rows):
    with pytest.raises(InputError, match=f"^export.keep_float=9: the file has {len(rows)} layers with kernels.$"):
        floats.chosen(9, rows)


def test_a_float_op_that_nobody_asked_for_is_unexpected(photos):
    inputs = keras.Input((48, 48, 3))
    x = keras.ops.sin(layers.Conv2D(4, 3, name="front")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    file = convert.float32(model)
    assert floats.unexpected(flatbuffer.read(file))


def test_an_op_that_computes_on_the_ends_themselves_is_unexpected():
    image, scores = (Tensor(name, "float32", (1, 3), (), (), 0, 0) for name in ("image", "scores"))
    assert floats.unexpected(Graph((Op("SIN", (image,), (scores,)),), (image,), (scores,))) == ["image", "scores"]
    assert floats.unexpected(Graph((Op("CAST", (image,), (scores,)),), (image,), (scores,))) == []
