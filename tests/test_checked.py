"""Arguments of another type, from Python: the same clear line that a config gets, before anything is built."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import tfmap
from tfmap import compress, evaluate, export, pipeline, verify
from tfmap.checked import checked
from tfmap.errors import InputError


@pytest.fixture(scope="module")
def net():
    return tfmap.build_classifier("lenet", classes=6, input_shape=(28, 28, 3), weights=None)


@pytest.fixture(scope="module")
def sample():
    return tfmap.load("sample:trash")


CASES = {
    "build(): model.classes must be int, received '6' (str)": lambda net, source: tfmap.build_classifier(
        "lenet", classes="6"
    ),
    "build(): model.input_shape must be tuple[int, int, int], received 28": lambda net, source: tfmap.build_classifier(
        "lenet", classes=6, input_shape=28
    ),
    "build(): model.dropout must be float, received 'x'": lambda net, source: tfmap.build_classifier(
        "lenet", classes=6, dropout="x"
    ),
    "load(): datasets.val_fraction must be float, received 'a'": lambda net, source: tfmap.load("x", val_fraction="a"),
    "fit(): train.epochs must be int, received '3' (str)": lambda net, source: tfmap.fit(net, source, epochs="3"),
    "fit(): train.learning_rate must be float, received '2e-3'": lambda net, source: tfmap.fit(
        net, source, learning_rate="2e-3"
    ),
    "fit(): source must be a Source (tfmap.load makes one), received 'pictures' (str)": lambda net, source: tfmap.fit(
        net, "pictures"
    ),
    "fit(): model must be a Keras model, received 'lenet' (str)": lambda net, source: tfmap.fit("lenet", source),
    "training: pipeline.batch_size must be int, received 'x'": lambda net, source: tfmap.fit(
        net, source, pipeline={"batch_size": "x"}
    ),
    "training: unknown key 'pipeline.bach_size'": lambda net, source: tfmap.fit(net, source, pipeline={"bach_size": 3}),
    "batches(): pipeline.batch_size must be int": lambda net, source: pipeline.batches(
        source.split("val"), size=(28, 28), channels=3, prepare=None, batch_size="x"
    ),
    "compress(): compress.learning_rate must be float": lambda net, source: compress.compress(
        net, source, learning_rate="3"
    ),
    "tflite(): export.samples must be int": lambda net, source: export.tflite(
        net, split=source.split("train"), classes=source.classes, samples="3"
    ),
    "tflite(): model must be a Keras model or a bytes, received 'm.keras' (str)": lambda net, source: export.tflite(
        "m.keras", classes=source.classes
    ),
    "verify(): verify.budget must be float": lambda net, source: verify.verify(
        net, b"", source.split("val"), classes=source.classes, budget="a"
    ),
    "evaluate(): model must be a tfmap.litert.LiteModel or a Keras model or a path or a str, received None": (
        lambda net, source: evaluate.evaluate(None, source.split("val"), classes=source.classes)
    ),
}


@pytest.mark.parametrize("text", CASES)
def test_another_type_is_told_in_one_line(text, net, sample):
    with pytest.raises(InputError) as caught:
        CASES[text](net, sample)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


@checked("train")
def _takes(
    model: keras.Model | None, *, epochs: int = 1, share: float = 0.5, weights: list[float] | None = None, out: str = ""
) -> dict:
    return locals()


def test_what_fits_is_passed_on_as_it_is():
    weights = np.array([1.0, 2.0])
    found = _takes(None, epochs=np.int64(3), share=1, weights=weights, out=Path("x"))
    assert found["weights"] is weights
    assert found["epochs"] == 3
    assert found["out"] == Path("x")


def test_subclasses_count(net):
    assert type(net) is not keras.Model
    assert _takes(net)["model"] is net


def test_the_signature_stays():
    assert _takes.__name__ == "_takes"
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        _takes(None, epoch=3)


def test_a_long_value_is_cut():
    with pytest.raises(InputError, match=r"model must be a Keras model, received '(x{56})\.\.\. \(str\)"):
        _takes("x" * 500)
