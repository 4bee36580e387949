"""Ops behind a file: what they take must be there, in float, and a real interpreter runs them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfmap import flatbuffer
from tfmap.appended import Appended
from tfmap.errors import InputError
from tfmap.export import convert
from tfmap.litert import LiteModel


@pytest.fixture(scope="module")
def file():
    image = keras.Input((8, 8, 3), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    outputs = {name: keras.layers.Dense(4, name=name)(pooled) for name in ("codes", "scores")}
    return convert.float32(keras.Model(image, outputs))


def with_mine(file):
    """With a custom op behind it."""
    grown = Appended(file)
    inputs = [grown.output("codes"), grown.constant(np.ones((5, 4), np.float32), "ones"), grown.output("scores")]
    shapes, told = {"given": (1, 2), "many": (1,)}, {"least": 0.5, "most": 3, "sharp": True}
    found, many = grown.custom("Mine", inputs, shapes, told)
    return grown.finished({"found": found, "many": many})


def test_the_op_is_last_and_its_outputs_are_the_file_s(file):
    graph = flatbuffer.read(with_mine(file))
    last = graph.ops[-1]
    assert (last.name, last.custom) == ("Mine", True)
    assert [tensor.name for tensor in graph.outputs] == ["found", "many"]
    assert [tensor.shape for tensor in graph.outputs] == [(1, 2), (1,)]
    np.testing.assert_array_equal(flatbuffer.array(last.inputs[1]), np.ones((5, 4)))
    assert last.inputs[0].shape == (1, 4)


def test_the_signature_names_them(file):
    (signature,) = flatbuffer.outline(with_mine(file)).signatures
    assert signature.outputs == {"found": "found", "many": "many"}


def test_ops_that_every_runtime_has_are_run(file):
    """By a real interpreter: an output kept below a bound, and its numbers in another order."""
    grown = Appended(file)
    limit = grown.constant(np.float32([0.5]), "limit")
    shape = (1, 4)
    kept = grown.op("MINIMUM", [grown.output("codes"), limit], ("kept", shape, "float32"))
    order = grown.constant(np.int32([3, 0, 2, 1]), "order")
    turned = grown.op("GATHER", [kept, order], ("turned", shape, "float32"), axis=1)
    picture = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    before = LiteModel(file).predict(picture)
    after = LiteModel(grown.finished({"codes": turned, "scores": grown.output("scores")})).predict(picture)
    assert np.abs(before["codes"]).max() > 0.5
    np.testing.assert_array_equal(after["codes"], np.minimum(before["codes"], 0.5)[:, [3, 0, 2, 1]])
    np.testing.assert_array_equal(after["scores"], before["scores"])


def test_an_output_that_is_not_there_is_told(file):
    with pytest.raises(InputError, match="export: the file has no output 'boxes'. Its outputs: codes, scores."):
        Appended(file).output("boxes")


def test_integers_are_told():
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3)(image)
    model = keras.Model(image, {"codes": keras.layers.ReLU()(x)})
    file = convert.int8(model, np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="the output 'codes' must be float32 for what follows it"):
        Appended(file).output("codes")
