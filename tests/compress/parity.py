"""Does the tf_keras twin of a model answer alike, and do its weights find their way home?"""

import keras
import numpy as np
from keras import tree

from tfmap.compress import bridge


def on(body, shape=(16, 16, 3), dtype="float32", **options):
    """A model of one input."""
    given = keras.Input(shape, name="image", dtype=dtype)
    return keras.Model(given, body(given), **options)


def shake(model, seed=0):
    """Weights as a training leaves them: no norm with mean 0 and variance 1, no bias of zeros, that hides an error."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = np.asarray(weight).astype("float64")
        if "float" in weight.dtype and np.ptp(value) == 0:
            weight.assign(value + rng.uniform(-0.3, 0.3, value.shape))
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return model


def probe(model, seed=1):
    """Inputs: pictures 0..255, other floats -2..2, small whole numbers, words."""
    rng = np.random.default_rng(seed)

    def draw(tensor):
        shape = [2] + [size or 16 for size in tensor.shape[1:]]
        if tensor.dtype == "string":
            return rng.choice(["cat", "dog", "fish"], shape)
        if "int" in tensor.dtype:
            return rng.integers(0, 256 if tensor.dtype == "uint8" else 3, shape).astype(tensor.dtype)
        low, high = (0, 255) if len(shape) == 4 else (-2, 2)
        return rng.uniform(low, high, shape).astype(tensor.dtype if tensor.dtype != "bfloat16" else "float32")

    return tree.map_structure(draw, model.inputs[0] if isinstance(model, keras.Sequential) else model.input)


def answers(model, inputs):
    """Its outputs, flat, as float64."""
    import tensorflow as tf

    outputs = model(tree.map_structure(tf.convert_to_tensor, inputs), training=False)
    return [np.asarray(tf.cast(output, "float64")) for output in tree.flatten(outputs)]


def agree(received, expected, tolerance=1e-5):
    """Equal, relative to the largest output."""
    assert [output.shape for output in received] == [output.shape for output in expected]
    for one, other in zip(received, expected, strict=True):
        assert np.all(np.isfinite(other))
        assert np.abs(one - other).max() <= tolerance * max(np.abs(other).max(), 1e-30)


def parity(model, tolerance=1e-5, *, ulps=0):
    """Hold a model against its twin, there and back; return the twin as it was built.

    No twin can be nearer than a network that answers otherwise when its input moves by the last digit of a float: with
    `ulps`, so many times that is allowed too.
    """
    shake(model)
    inputs = probe(model)
    twin, expected = bridge.to_tf_keras(model), answers(model, inputs)
    assert all(np.std(output) > 0 for output in expected)
    agree(answers(twin, inputs), expected, max(tolerance, ulps * unsteadiness(model, inputs)))
    comes_home(model, twin, inputs, tolerance, ulps)
    return twin


def unsteadiness(model, inputs):
    """How far the answers move with the last digit of the inputs, relative to the largest answer."""
    moved = tree.map_structure(lambda x: np.nextafter(x, np.float32(1e9)) if x.dtype == "float32" else x, inputs)
    pairs = zip(answers(model, inputs), answers(model, moved), strict=True)
    return max(np.abs(one - other).max() / np.abs(one).max() for one, other in pairs)


def comes_home(model, twin, inputs, tolerance, ulps=0):
    """A Keras 3 model with weights that were changed over there answers as the one over there."""
    before = [np.copy(np.asarray(weight)) for weight in model.weights]
    learned, changed = twin.get_weights(), retrained(twin)
    home = bridge.brought_home(twin, model)
    tolerance = max(tolerance, ulps * unsteadiness(home, inputs))
    agree(answers(home, inputs), answers(twin, inputs), tolerance)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), value, err_msg=weight.path)
    moved = [not np.array_equal(np.asarray(weight), value) for weight, value in zip(home.weights, before, strict=True)]
    assert sum(moved) == changed
    twin.set_weights(learned)


def retrained(twin, seed=2):
    """Give every float weight other values; return how many there are."""
    rng, changed = np.random.default_rng(seed), 0
    for layer in twin.layers:
        weights = layer.get_weights()
        floats = [weight.dtype.kind == "f" for weight in weights]
        layer.set_weights(
            [w * rng.uniform(0.8, 1.2, w.shape) if f else w for w, f in zip(weights, floats, strict=True)]
        )
        changed += sum(floats)
    return changed
