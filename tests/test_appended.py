"""A custom op behind a file: what it takes must be there, in float."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tfmap import appended, flatbuffer
from tfmap.errors import InputError
from tfmap.export import convert
from tfmap.litert import LiteModel


@pytest.fixture(scope="module")
def file():
    image = keras.Input((8, 8, 3), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    outputs = {name: keras.layers.Dense(4, name=name)(pooled) for name in ("codes", "scores")}
    return convert.float32(keras.Model(image, outputs))


def op(*inputs):
    return appended.CustomOp("Mine", inputs, {"found": (1, 2), "many": (1,)}, {"least": 0.5, "most": 3, "sharp": True})


def test_the_op_is_last_and_its_outputs_are_the_file_s(file):
    graph = flatbuffer.read(appended.append(file, op("codes", np.ones((5, 4), "float32"), "scores")))
    last = graph.ops[-1]
    assert (last.name, last.custom) == ("Mine", True)
    assert [tensor.name for tensor in graph.outputs] == ["found", "many"]
    assert [tensor.shape for tensor in graph.outputs] == [(1, 2), (1,)]
    np.testing.assert_array_equal(flatbuffer.array(last.inputs[1]), np.ones((5, 4)))
    assert last.inputs[0].shape == (1, 4)


def test_the_signature_names_them(file):
    (signature,) = flatbuffer.outline(appended.append(file, op("codes"))).signatures
    assert signature.outputs == {"found": "found", "many": "many"}


def test_an_output_that_is_not_there_is_told(file):
    with pytest.raises(InputError, match="export: the file has no output 'boxes'. Its outputs: codes, scores."):
        appended.append(file, op("boxes"))


def test_integers_are_told():
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3)(image)
    model = keras.Model(image, {"codes": keras.layers.ReLU()(x)})
    file = convert.int8(model, np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="the output 'codes' must be float32 for what follows it"):
        appended.append(file, op("codes"))


def test_an_output_is_kept_in_bounds(file):
    """By a real interpreter, under the name that it had, the other output untouched."""
    picture = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    before, after = (
        LiteModel(file).predict(picture),
        LiteModel(appended.bounded(file, "codes", -1.0, 0.5)).predict(picture),
    )
    assert np.abs(before["codes"]).max() > 1
    np.testing.assert_array_equal(after["codes"], np.clip(before["codes"], -1.0, 0.5))
    np.testing.assert_array_equal(after["scores"], before["scores"])


def test_only_an_output_can_be_kept_in_bounds(file):
    with pytest.raises(InputError, match="export: the file has no output 'boxes'. Its outputs: codes, scores."):
        appended.bounded(file, "boxes", 0.0, 1.0)
