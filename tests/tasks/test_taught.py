from __future__ import annotations

import keras
import numpy as np

from tfmap.tasks import taught


def net():
    image = keras.Input((2,), name="image")
    inner = keras.layers.Dense(3, name="inner")(image)
    return keras.Model(image, {"scores": keras.layers.Dense(1, name="scores")(inner)})


def test_a_loss_that_reads_nothing_more_sees_the_model_itself():
    model = net()
    assert taught.said(model, lambda targets, outputs: 0.0) is model


def test_a_loss_sees_the_layers_it_reads_and_the_model_does_not_show_them():
    @taught.reads("inner")
    def loss(targets, outputs):
        return outputs["inner"]

    model = net()
    seen = taught.said(model, loss)
    outputs = seen(np.ones((1, 2), "float32"))
    assert {name: value.shape for name, value in outputs.items()} == {"scores": (1, 1), "inner": (1, 3)}
    np.testing.assert_allclose(model.get_layer("scores")(loss(None, outputs)), outputs["scores"])
    assert set(model.output) == {"scores"}
    assert {id(w) for w in seen.weights} == {id(w) for w in model.weights}
