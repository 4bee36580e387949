"""Which layers learn, by flag, stage and layer name."""

from __future__ import annotations

import re

import pytest

from tfmap import InputError
from tfmap.models.freeze import freeze
from tfmap.tasks import classification


@pytest.fixture(scope="module")
def model():
    return classification.build("mobilenet_v1_025", classes=3, input_shape=(32, 32, 3), weights=None)


def learning(model):
    return [layer.name for layer in model.layers if layer.trainable]


def test_all_or_the_head(model):
    freeze(model, True)
    assert len(learning(model)) == len(model.layers)
    freeze(model, False)
    assert learning(model) == ["pool", "dropout", "logits", "probabilities"]


def test_from_a_stage_on(model):
    freeze(model, "P5")
    assert learning(model)[0] == "conv_dw_12"
    assert learning(model)[-1] == "probabilities"
    assert "conv_pw_11" not in learning(model)


def test_from_a_layer_on(model):
    freeze(model, "conv_pw_13")
    assert learning(model)[0] == "conv_pw_13"


def test_no_such_layer(model):
    text = "no stage or layer 'conv_pw_14'. Stages: P1, P2, P3, P4, P5, head; layers: image, normalisation, conv1"
    with pytest.raises(InputError, match=re.escape(text) + ".*Did you mean 'conv_pw_4'"):
        freeze(model, "conv_pw_14")
