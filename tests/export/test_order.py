"""Every format by every engine that makes it: a contract; and what no engine makes is refused."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.export import floats
from tfmap.export.order import CONVERTER, ENGINES, QUANTIZER, Order
from tfmap.litert import LiteModel

pytestmark = pytest.mark.slow  # minutes of conversion and training on two cores

PAIRS = [(name, engine) for name, engines in ENGINES.items() for engine in engines]
# Largest difference of a score that the format may cost this model, about twice what was measured.
TOLERANCE = {"float32": 1e-5, "float16": 0.004, "dynamic": 0.2, "int8": 0.2, "int16x8": 0.15, "int4": 0.4}
DTYPES = {"uint8": np.uint8, "int8": np.int8, "float32": np.float32}


def _fast(pairs, *fast):
    """The pairs, all but some of them slow."""
    return [pair if pair in fast else pytest.param(*pair, marks=pytest.mark.slow) for pair in pairs]


def _made(classifier, photos, **wanted):
    order = Order(**wanted)
    pictures = [photos[0]] if order.is_calibrated else []
    return getattr(order.module, order.format)(classifier, *pictures, **order.options)


@pytest.fixture(scope="module")
def files(classifier, photos):
    """(format, engine) -> bytes."""
    return {
        (name, engine): _made(classifier, photos, format=name, engine=engine, output_type="float32")
        for name, engine in PAIRS
    }


@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_every_format_answers_as_keras_does(files, classifier, photos, name, engine):
    expected = classifier.predict(photos[0].astype("float32"), verbose=0)
    found = LiteModel(files[name, engine]).predict(photos[0])
    assert np.abs(found - expected).max() < TOLERANCE[name]
    assert (found.argmax(1) == expected.argmax(1)).mean() >= (0.75 if name == "int4" else 0.95)


@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_bytes_go_in_and_the_batch_is_one(files, name, engine):
    model = LiteModel(files[name, engine])
    assert (model.input["dtype"], model.outputs[0]["dtype"]) == (np.uint8, np.float32)
    assert model.input_shape == (1, 48, 48, 3)


@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_integer_formats_compute_in_integers(files, name, engine):
    assert bool(floats.unexpected(flatbuffer.read(files[name, engine]))) == (not Order(format=name).is_calibrated)


@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_kernels_have_the_format_s_dtype(files, name, engine):
    kernels = {tensor.dtype for tensor in flatbuffer.read(files[name, engine]).tensors if tensor.is_weight}
    expected = {"float32": "float32", "float16": "float16", "int4": "int4"}.get(name, "int8")
    assert expected in kernels


@pytest.mark.parametrize(
    ("name", "engine"), _fast([pair for pair in PAIRS if pair[0] in ("int8", "int4")], ("int8", QUANTIZER))
)
@pytest.mark.parametrize(("given", "taken"), [("uint8", "int8"), ("int8", "float32"), ("float32", "uint8")])
def test_both_ends_are_as_asked_for(classifier, photos, name, engine, given, taken):
    file = _made(classifier, photos, format=name, engine=engine, input_type=given, output_type=taken)
    model = LiteModel(file)
    assert (model.input["dtype"], model.outputs[0]["dtype"]) == (DTYPES[given], DTYPES[taken])
    if given != "float32":
        assert model.input["quantization"] == (1.0, {"uint8": 0, "int8": -128}[given])
    if taken != "float32":
        assert model.outputs[0]["quantization"] == (1 / 256, {"uint8": 0, "int8": -128}[taken])
    expected = classifier.predict(photos[0].astype("float32"), verbose=0)
    assert np.abs(model.predict(photos[0]) - expected).max() < TOLERANCE[name]


@pytest.mark.parametrize(("name", "engine"), _fast(PAIRS, ("int8", CONVERTER), ("int4", QUANTIZER)))
def test_an_open_batch_takes_any_number_of_pictures(classifier, photos, name, engine):
    from ai_edge_litert.interpreter import Interpreter

    file = _made(classifier, photos, format=name, engine=engine, batch_size="dynamic")
    interpreter = Interpreter(model_content=file)
    place = interpreter.get_input_details()[0]
    assert place["shape_signature"].tolist() == [-1, 48, 48, 3]
    alone = LiteModel(file).raw(photos[0][:5])
    interpreter.resize_tensor_input(place["index"], (5, 48, 48, 3))
    interpreter.allocate_tensors()
    interpreter.set_tensor(place["index"], photos[0][:5])
    interpreter.invoke()
    together = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(
        together.astype("float32"), alone.astype("float32"), atol=1 if alone.dtype == np.uint8 else 2e-3
    )


def test_a_batch_of_four(classifier, photos):
    expected = classifier.predict(photos[0][:6].astype("float32"), verbose=0)
    model = LiteModel(_made(classifier, photos, engine=QUANTIZER, batch_size=4))
    assert model.input_shape[0] == 4
    assert np.abs(model.predict(photos[0][:6]) - expected).max() < TOLERANCE["int8"]


def test_an_open_batch_is_0_or_dynamic():
    assert Order(batch_size=0).options == Order(batch_size="dynamic").options
    assert Order(batch_size=3).options["batch_size"] == 3


def test_auto_takes_the_converter_where_it_can():
    assert {name: Order(format=name).made_by for name in ENGINES} == {
        **dict.fromkeys(ENGINES, "converter"),
        "int4": QUANTIZER,
    }


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (
            {"format": "int4", "engine": "converter"},
            "export.engine=converter does not make format int4; ai-edge-quantizer does. Formats of converter: float32, "
            "float16, dynamic, int8, int16x8.",
        ),
        (
            {"format": "float32", "engine": QUANTIZER},
            "export.engine=ai-edge-quantizer does not make format float32; co",
        ),
        ({"batch_size": -1}, "export.batch_size must be at least 1, or 0 or dynamic to leave it open, received -1."),
        (
            {"format": "float16", "input_type": "int8"},
            "export.input_type=int8: format float16 has uint8 or float32 there. Integers at both ends come with format "
            "int8 or int4.",
        ),
        (
            {"format": "int16x8", "output_type": "uint8"},
            "export.output_type=uint8: format int16x8 has auto or float32 th",
        ),
        ({"keep_float": -2}, "export.keep_float must be 0 or more layers, or their names, received -2."),
        (
            {"format": "int4", "keep_float": 2},
            "export.keep_float keeps layers of an int8 file in float, received format='int4'. Use format='int8'.",
        ),
    ],
)
def test_what_no_engine_makes(wanted, text):
    with pytest.raises(InputError) as error:
        Order(**wanted)
    assert str(error.value).startswith(text)


def test_the_package_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    Order(format="int8")
    text = (
        r"^export: ai-edge-quantizer, which makes this int4 file, is not installed: pip install 'tfmap\[quantizer\]'$"
    )
    with pytest.raises(InputError, match=text):
        Order(format="int4")


@pytest.mark.parametrize("engine", ENGINES["int16x8"])
def test_sixteen_bits_hold_every_pixel_whatever_they_were_calibrated_on(classifier, photos, engine):
    order = Order(format="int16x8", engine=engine)
    file = order.module.int16x8(classifier, 60 + photos[0][:10] // 4, **order.options)
    step = next(op.outputs[0].scale[0] for op in flatbuffer.read(file).ops if op.name == "QUANTIZE")
    assert step == pytest.approx(255 / 32767, rel=1e-4)
