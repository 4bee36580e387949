"""Operators as layers: x * y + 1, x[..., 0], ops.anything."""

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers, ops

from tests.compress.parity import on, parity

HALF = np.full((1, 16, 16, 3), 0.5, "float32")
OPERATIONS = {
    "arithmetic": lambda x: (x / 127.5 - 1.0) * 2 + 0.5,
    "a tensor, a tensor and a number": lambda x: x * (x / 255) + 1,
    "a constant first": lambda x: 255.0 - x,
    "one over": lambda x: 1.0 / (x + 1.0),
    "powers": lambda x: (x / 255) ** 2 - 2 ** (x / 255),
    "whole and rest": lambda x: x // 7 + x % 5,
    "minus": lambda x: -x,
    "a constant vector": lambda x: x * np.array([0.1, 0.2, 0.3], "float32"),
    "a constant vector that widens": lambda x: x[..., :1] + np.array([0.1, 0.2, 0.3], "float32"),
    "a constant picture": lambda x: x + np.ones((16, 16, 3), "float32"),
    "tensors": lambda x: ops.maximum(x + ops.flip(x, 1), x * x) - ops.minimum(x, x * 0.5),
    "a quotient of tensors": lambda x: x / (ops.abs(x) + 1.0),
    "a gate": lambda x: x * ops.mean(x, axis=(1, 2), keepdims=True),
    "a tensor of lower rank, lined up at the end": lambda x: ops.transpose(x, (1, 2, 3, 0))[..., :1] + x[:1, 0, 0, :1],
    "concatenation": lambda x: ops.concatenate([x, x * 2], axis=-1),
    "concatenation with a constant": lambda x: ops.concatenate([ops.mean(x, 0, keepdims=True), 3 * HALF], axis=-1),
    "concatenation of two precisions": lambda x: ops.concatenate([x, ops.cast(x, "int32")], axis=-1),
    "activations": lambda x: ops.relu6(x) + ops.silu(x) + ops.hard_sigmoid(x - 100) + ops.sigmoid(x - 100),
    "gelu": lambda x: ops.stack([ops.gelu(x / 99 - 1), ops.gelu(x / 99 - 1, approximate=False)]),
    "slopes": lambda x: ops.leaky_relu(x - 99, 0.3) + ops.elu(x - 99, 0.4) + ops.celu(x - 99, 0.4),
    "a mean over the picture": lambda x: ops.mean(x, axis=(1, 2)),
    "a mean over the picture, from the end": lambda x: ops.mean(x, axis=(-3, -2)),
    "a mean over channels": lambda x: ops.mean(x, axis=-1, keepdims=True),
    "a variance": lambda x: ops.var(x, axis=(1, 2)) + ops.std(x, axis=(1, 2)),
    "a channel": lambda x: x[..., 0],
    "a slice": lambda x: x[:, 2:9, ..., ::2],
    "a new axis": lambda x: x[:, None] * x[:, :, None],
    "a reshape": lambda x: ops.reshape(x, (-1, 8, 96)),
    "a transposition": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "a product of matrices": lambda x: ops.einsum("bhwc,bhwd->bcd", x / 255, x / 255),
    "another product of matrices": lambda x: (x / 255) @ ops.transpose(x, (0, 1, 3, 2)),
    "a stack": lambda x: ops.stack([x, x * 3], axis=1),
    "a split": lambda x: ops.subtract(*ops.split(x, 2, axis=1)),
    "a softmax": lambda x: ops.softmax(x / 255, axis=-1),
    "a choice": lambda x: ops.where(x > 99, x, -x),
    "a comparison": lambda x: ops.cast(x > 99, "float32"),
    "the largest": lambda x: ops.argmax(x, axis=-1),
    "the best": lambda x: ops.top_k(ops.reshape(x, (-1, 768)), 5)[0],
    "a norm": lambda x: ops.normalize(x, axis=-1),
    "pictures": lambda x: ops.image.resize(x, (7, 9), antialias=True),
    "a convolution": lambda x: ops.conv(x, np.ones((3, 3, 3, 2), "float32"), padding="same"),
    "padding": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), mode="reflect"),
    "one hot": lambda x: ops.one_hot(ops.cast(x[..., 0] / 64, "int32"), 4),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_on_tensors(name):
    parity(on(OPERATIONS[name]))


WHOLE = {
    "overflow": lambda x: x * 2,
    "a float makes floats": lambda x: x * (1 / 255.0),
    "a quotient": lambda x: x / 7,
    "a mean": lambda x: ops.mean(x, axis=(1, 2)),
    "a sum of two kinds": lambda x: x + ops.cast(x, "float32"),
    "relu": lambda x: ops.relu(x),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_whole_numbers_stay_what_they_are_in_keras_3(name, dtype):
    model = on(WHOLE[name], (8, 8, 3), dtype)
    assert parity(model).output.dtype.name == model.output.dtype


def test_a_row_and_a_table_of_one_batch():
    """Operators line up the last axes, tf_keras' Add would line up the first."""
    a, b = keras.Input((3,), batch_size=4), keras.Input((4, 3), batch_size=4)
    twin = parity_of_two(keras.Model([a, b], a + b))
    assert not any(isinstance(layer, tf_keras.layers.Add) for layer in twin.layers)


def parity_of_two(model):
    from tests.compress.parity import agree, answers
    from tfmap.compress import bridge

    rng, twin = np.random.default_rng(0), bridge.to_tf_keras(model)
    inputs = [rng.normal(size=tensor.shape).astype("float32") for tensor in model.inputs]
    agree(answers(twin, inputs), answers(model, inputs))
    return twin


def test_what_tfmot_knows_becomes_its_layer():
    def body(x):
        x = ops.relu(layers.Conv2D(4, 3)(x / 127.5 - 1.0))
        return ops.mean(ops.concatenate([x + x, x * x]), axis=(1, 2))

    kinds = [type(layer).__name__ for layer in parity(on(body)).layers]
    assert kinds == [
        *("InputLayer", "Rescaling", "Rescaling", "Conv2D", "Activation"),
        *("Add", "Multiply", "Concatenate", "GlobalAveragePooling2D"),
    ]


def test_every_output_of_an_operation_is_a_layer_that_tfmot_can_quantise():
    twin = parity(on(lambda x: list(ops.split(x, 4, axis=1)) + list(ops.top_k(ops.max(x, axis=(1, 2)), 2))))
    assert len(twin.outputs) == 6
    assert all(len(layer.inbound_nodes[0].output_shapes) == 4 for layer in twin.layers if "split" in layer.name)
